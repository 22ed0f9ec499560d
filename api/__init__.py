"""The api process: REST, server-sent events and the node link. Both edges stand on one layer of services."""
