"""The api process: REST, server-sent events and the node link, over one layer of services."""
