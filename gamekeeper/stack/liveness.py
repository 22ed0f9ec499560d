"""Tells a frozen process from one that lives: by a call that its event loop has to answer. A program that is not ours
answers in HTTP/2: it greets whoever connects, and only when it gets to it.

A slow machine is no frozen process. Only time counts in which the process could have answered: not while it waits for
a processor or for a disk, not while a debugger holds it, and not while the supervisor itself, or the whole machine,
stood still.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gamekeeper.liveness import address_of
from gamekeeper.processor_wait import ProcessorWait
from gamekeeper.stack.own_server import LOOPBACK

FROZEN_SECONDS = 8.0
START_SECONDS = 60.0  # until the first answer: imports on a slow machine
LONGEST_LOOK_SECONDS = 2.0  # after a longer pause between two looks it was the one who looks who stood still
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # and empty settings
_HELD_STATES = ("D", "t")  # waits for a disk, which no signal ends; or a debugger has it


class LivenessWatch:
    """``look`` is called again and again, and never blocks. One question is open at a time.

    ``way`` is the name of one of our sockets, or a port of this machine at which HTTP/2 is spoken.
    """

    def __init__(
        self, way: str | int, pid: int, *, has_answered: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        is_port = isinstance(way, int)
        self._family = socket.AF_INET if is_port else socket.AF_UNIX
        self._address: str | tuple[str, int] = (LOOPBACK, way) if isinstance(way, int) else address_of(way)
        self._greeting = _HTTP2_GREETING if is_port else b""
        self._unsaid = b""
        self._threads = Path(f"/proc/{pid}/task")
        self._clock = clock
        self._has_answered = has_answered
        self._asked: socket.socket | None = None
        self._waits: ProcessorWait | None = None  # since the first look without an answer
        self._looked_at = clock()
        self.silence = 0.0

    @property
    def is_frozen(self) -> bool:
        return self.silence > (FROZEN_SECONDS if self._has_answered else START_SECONDS)

    def look(self) -> None:
        now = self._clock()
        elapsed = min(now - self._looked_at, LONGEST_LOOK_SECONDS)
        self._looked_at = now
        if self._is_answered():
            self._has_answered, self.silence, self._waits = True, 0.0, None
        else:
            self.silence += max(0.0, elapsed - self._held_up(elapsed))
        if self._asked is None:
            self._ask()

    def close(self) -> None:
        if self._asked is not None:
            self._asked.close()
            self._asked = None

    def _is_answered(self) -> bool:
        if self._asked is None:
            return False
        try:
            if self._unsaid:
                self._asked.send(self._unsaid)
                self._unsaid = b""
            is_answered = bool(self._asked.recv(1))
        except BlockingIOError:
            return False
        except OSError:
            is_answered = False
        self.close()
        return is_answered

    def _ask(self) -> None:
        asked = socket.socket(self._family, socket.SOCK_STREAM)
        asked.setblocking(False)
        error = asked.connect_ex(self._address)
        if error and (error, self._family) != (errno.EINPROGRESS, socket.AF_INET):
            asked.close()  # it does not listen yet, or so many ask that the kernel takes no more
        else:
            self._asked, self._unsaid = asked, self._greeting

    def _held_up(self, elapsed: float) -> float:
        """The part of the time since the last look in which the process could not have answered."""
        if self._waits is None:
            self._waits = ProcessorWait(self._threads)
            return 0.0
        waited = self._waits.since_last()
        return elapsed if self._is_held() else waited

    def _is_held(self) -> bool:
        for thread in self._threads.glob("*/stat"):
            with suppress(OSError, IndexError):  # it has ended
                if thread.read_text().rpartition(")")[2].split()[0] in _HELD_STATES:
                    return True
        return False
