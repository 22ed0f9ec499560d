"""Questions that are asked again where the connection was closed before anybody answered.

A server closes connections on which no request has come yet when it is replaced, or takes over a new certificate. Such
a question may be repeated where no request was sent, and where the same request twice is the same as once.
"""

from __future__ import annotations

import time
from typing import Any

import httpx

from gamekeeper.backoff import Backoff

TRIES = 4
_READS = ("GET", "HEAD")


class Tries:
    """The tries of one question, with a pause before each further one."""

    def __init__(self) -> None:
        self._left = TRIES - 1
        self._backoff = Backoff(initial=0.2, maximum=1.0)

    def is_last(self) -> bool:
        """False after a pause, where there is one more."""
        if not self._left:
            return True
        self._left -= 1
        time.sleep(self._backoff.next_delay())
        return False


class AskingClient(httpx.Client):
    """Asks again what it may. Where the server refuses the connection, nobody is there, and it is told at once."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        tries = Tries()
        while True:
            try:
                return super().send(request, **options)
            except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError) as error:
                if not _may_come_again(request, error) or tries.is_last():
                    raise


def _may_come_again(request: httpx.Request, error: httpx.TransportError) -> bool:
    if isinstance(error, httpx.ConnectError):  # no request was sent
        return is_cut_off(error)
    return request.method in _READS


def is_cut_off(error: BaseException | None) -> bool:
    """True for an error behind which stands a connection that the other side closed, in its handshake too."""
    while error is not None:
        if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError | EOFError):
            return True
        if "EOF" in getattr(error, "reason", ""):  # ssl.SSLEOFError
            return True
        error = error.__cause__ or error.__context__
    return False
