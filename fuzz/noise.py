"""The count of one part's noise with what it found, and the log of the processes that are in this one."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gamekeeper.errors import GamekeeperError

ENOUGH = 20  # faults; then the noise ends


@dataclass
class Noise:
    """The number of messages, the answers by their codes, and the faults."""

    messages: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def count(self, code: str) -> None:
        self.codes[code] = self.codes.get(code, 0) + 1

    @property
    def is_enough(self) -> bool:
        return len(self.faults) >= ENOUGH


class _Errors(logging.Handler):
    """Keeps the errors that nobody had foreseen. What is skipped, while the rest goes on, has an error of ours."""

    def __init__(self, foreign: str) -> None:
        super().__init__(logging.ERROR)
        self._foreign = foreign
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if self._foreign and record.name.startswith(self._foreign):
            return
        if record.exc_info and not isinstance(record.exc_info[1], GamekeeperError):
            self.told.append(self.format(record)[-2000:])


@asynccontextmanager
async def watched_log(noise: Noise, *, foreign: str = "") -> AsyncIterator[None]:
    """An unforeseen error in the log is a fault. ``foreign`` loggers are those of the noise itself."""
    errors, root = _Errors(foreign), logging.getLogger()
    root.addHandler(errors)
    try:
        yield
    finally:
        root.removeHandler(errors)
        noise.faults += [f"the log has an error: {told}" for told in errors.told]
