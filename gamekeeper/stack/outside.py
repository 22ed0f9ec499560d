"""Parts of a stack that are somebody else's: addresses that users give, and the first look at what is there."""

from __future__ import annotations

import socket
import time

from gamekeeper.errors import InvalidError, UnavailableError

CONNECT_SECONDS = 2.0


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of HOST:PORT. Raises InvalidError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InvalidError(
            f'"{address}" is no address of a server', hint="give HOST:PORT, as temporal.example.com:7233"
        )
    return host.strip("[]"), int(port)


def wait_for_port(what: str, address: str, seconds: float) -> None:
    """Returns when something takes connections at ``address``. Raises InvalidError for a wrong address, and
    UnavailableError with the reason after ``seconds``: whoever starts what needs it would only be told later."""
    target = host_and_port(address)
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(target, CONNECT_SECONDS):
                return
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"{what} at {address} does not answer: {reason}", hint="start it, or give another address"
                ) from error
        time.sleep(0.2)
