"""The agent_worker process, one a node: runs the node's activities on its container engine, and the node link."""
