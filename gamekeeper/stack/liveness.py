"""Tells a frozen process from one that lives: by a call that its event loop has to answer.

A slow machine is no frozen process. Only time counts in which the process could have answered: not while it waits for
a processor or for a disk, not while a debugger holds it, and not while the supervisor itself, or the whole machine,
stood still.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gamekeeper.liveness import address_of
from gamekeeper.processor_wait import ProcessorWait

FROZEN_SECONDS = 8.0
START_SECONDS = 60.0  # until the first answer: imports on a slow machine
LONGEST_LOOK_SECONDS = 2.0  # after a longer pause between two looks it was the one who looks who stood still
_HELD_STATES = ("D", "t")  # waits for a disk, which no signal ends; or a debugger has it


class LivenessWatch:
    """``look`` is called again and again, and never blocks. One question is open at a time."""

    def __init__(self, name: str, pid: int, *, has_answered: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = address_of(name)
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
            is_answered = bool(self._asked.recv(1))
        except BlockingIOError:
            return False
        except OSError:
            is_answered = False
        self.close()
        return is_answered

    def _ask(self) -> None:
        asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        asked.setblocking(False)
        try:
            asked.connect(self._address)
        except OSError:  # it does not listen yet, or so many ask that the kernel takes no more
            asked.close()
        else:
            self._asked = asked

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
