"""Use cases of nodes: presence, inventory, conditions, metrics, containers and consoles."""
