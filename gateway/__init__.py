"""The gateway process: Temporal for agents. A node may poll its own queues and answer its own tasks, nothing else."""

import os

# Read when gRPC is loaded: the suites of TLS before 1.3, which need an RSA key that the server has not.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES128-GCM-SHA256")
# Below ERROR, each stranger who knocks at the open port costs a line of the log.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
