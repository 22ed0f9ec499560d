"""What the agent finds out about its machine: facts, inventory, GPUs and metrics. Nothing here touches a container."""
