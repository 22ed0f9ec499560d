"""Clients that hold the api's REST server with as little as they can: slow ones, and those that read nothing. Others
must not notice them."""
