"""Use cases of nodes: presence, inventory, conditions, metrics, containers and consoles. REST and the node link share
them."""
