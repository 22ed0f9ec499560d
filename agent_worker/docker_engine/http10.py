"""HTTP/1.0 to the engine's socket, for logs: with 1.1 the engine wraps each line in a chunk of its own.

Undoing the chunks costs more than all else that is done to a line; with 1.0 the body is the frames alone, and ends
where the connection does.
"""

from __future__ import annotations

from typing import Any

from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool

UNIX_URL = "http+docker://localhost"  # the SDK's own name for what it reaches by a socket
LOGS_URL = "http+docker://logs"


class _Connection(UnixHTTPConnection):
    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        timeout: Any = self.timeout
        return _Connection(self.base_url, self.socket_path, timeout)


class UnchunkedAdapter(UnixHTTPAdapter):
    """An adapter that the SDK's client mounts for LOGS_URL."""

    def get_connection(self, *_: object) -> _Pool:
        return _Pool(LOGS_URL, self.socket_path, self.timeout, maxsize=1)
