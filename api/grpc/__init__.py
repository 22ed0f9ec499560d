"""The server side of the node link: authenticate, translate, delegate to the services."""
