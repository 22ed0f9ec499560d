"""The gateway process: Temporal for agents. A node may poll its own queues and answer its own tasks, nothing else."""
