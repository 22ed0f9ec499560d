"""The gateway process: Temporal for agents. A node may poll its own queues and answer its own tasks, nothing else."""

import os

# Read when gRPC is loaded. Below it, each stranger who knocks at the open port costs a line of the log.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
