"""Use cases that the api and the control worker share. They stand on the database and the domain, and neither process
owns them."""
