"""The api process: REST, server-sent events and the node link's server."""

import os

# The node link is TLS 1.3 alone. gRPC has no option for that, but reads the cipher suites of older versions from here
# when it is loaded: ours need an RSA key, which the server has not, so that no older handshake succeeds.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES128-GCM-SHA256")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # strangers' handshakes that fail are no news
