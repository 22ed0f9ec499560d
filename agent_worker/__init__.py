"""The agent_worker process, one on each node. It runs the node's activities on its container engine, and the node
link."""

import os

# Read when gRPC is loaded. Below it each try to connect that fails is a line; the agent itself tells its outages.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
