"""The agent's view of its machine: facts, inventory, GPUs and metrics. Nothing here touches a container."""
