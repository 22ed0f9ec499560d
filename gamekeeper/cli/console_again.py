"""A console that goes on over another connection, where the server closed the one before to serve a new certificate.

The new one begins with the last lines of the log, most of which were shown already: those are left out. What was
written meanwhile is among them. Nothing in the protocol numbers these bytes, so the place is found by the bytes that
were shown last; where it is not found, all is shown, and said so.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

HISTORY = 1000  # lines that the new connection begins with
SOUGHT = 200  # of them: more would not stand in a history that is mostly new
REMEMBERED = 16 * 1024  # bytes of each stream
MOST_HELD = 4 << 20


class Shown:
    """One stream of a console, over all its connections."""

    def __init__(self) -> None:
        self._last = b""
        self._held: bytes | None = None

    @property
    def is_seeking(self) -> bool:
        return self._held is not None

    def begin_again(self) -> None:
        """Another connection begins. Where nothing was shown, all of it is new."""
        self._held = b"" if self._last or self._held else None

    def add(self, data: bytes) -> bytes:
        """The part that is to be shown now."""
        if self._held is not None:
            self._held += data
            place = self._place(self._held)
            if place is None and len(self._held) <= MOST_HELD:
                return b""
            data, self._held = self._held[place or 0 :], None
        self._last = (self._last + data)[-REMEMBERED:]
        return data

    def give_up(self) -> bytes:
        """The part of what is held that was not shown, where no more comes that could tell."""
        held, self._held = self._held or b"", None
        whole = self._behind_lines(held)
        held = held if whole is None else held[whole:]
        self._last = (self._last + held)[-REMEMBERED:]
        return held

    def _place(self, data: bytes) -> int | None:
        """Behind what was shown; None while that can't be told. Of a line that was not ended then, its begin may stand
        in the log, or not yet."""
        place = self._behind_lines(data)
        if place is None:
            return None
        begun = self._last.rpartition(b"\n")[2]
        rest = data[place : place + len(begun)]
        if len(rest) < len(begun) and begun.startswith(rest):
            return None
        return place + len(begun) if rest == begun else place

    def _behind_lines(self, data: bytes) -> int | None:
        """Behind the last whole lines that were shown."""
        lines = self._last.splitlines(keepends=True)[-SOUGHT:]
        known = b"".join(lines).rpartition(b"\n")
        sought = known[0] + known[1]
        found = data.find(sought)
        return found + len(sought) if found >= 0 else None


class Line:
    """The connection of now, for the thread that types: what it sends while there is none waits for the next one."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._changed = threading.Condition()
        self._is_over = False

    def send(self, message: str | bytes) -> None:
        while not self._is_over:
            connection = self.connection
            with suppress(ConnectionClosed, OSError):
                connection.send(message)
                return
            with self._changed:
                self._changed.wait_for(lambda: self._is_over or self.connection is not connection)  # noqa: B023

    def replace(self, connection: ClientConnection) -> None:
        with self._changed:
            self.connection = connection
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def leave(self) -> None:
        """The user goes."""
        self.connection.close()
