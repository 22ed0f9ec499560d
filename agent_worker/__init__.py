"""The agent_worker process, one on each node. It runs the node's activities on its container engine, and the node
link."""
