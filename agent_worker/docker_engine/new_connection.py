"""A connection to the engine that is made for one question: an engine that goes down takes none any more."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

UNIX = "unix"
_TCP = ("tcp", "http")
_PORT = 2375  # the SDK's own default
ANSWER_SECONDS = 2.0


def answers_anew(address: str) -> bool | None:
    """True when the engine answers over a new connection, None when it takes its time. One that goes down first takes
    none any more, and then stops its containers; over the connections that are there it goes on to answer and to tell
    events until its end."""
    try:
        with new_connection(address, ANSWER_SECONDS) as asking:
            asking.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return bool(asking.recv(1))
    except (TimeoutError, BlockingIOError):
        return None
    except OSError:
        return False
    except ValueError:
        return True


def new_connection(address: str, seconds: float) -> socket.socket:
    """Raises OSError, and ValueError for an address of another kind."""
    where = urlsplit(address)
    if where.scheme in _TCP:
        return socket.create_connection((where.hostname or "127.0.0.1", where.port or _PORT), seconds)
    if where.scheme != UNIX:
        raise ValueError(f"{address} is no socket")
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(seconds)
        made.connect(where.path)
    except OSError:
        made.close()
        raise
    return made
