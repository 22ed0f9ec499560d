"""The server side of the node link. It authenticates, translates, and delegates to the services."""
