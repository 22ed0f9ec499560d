"""Where the control plane keeps step logs. The one adapter keeps a file a log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gamekeeper.domain.log.log import LogClocks, LogEnd, LogRecord
from gamekeeper.domain.run.step import StepKey


@dataclass(frozen=True)
class LogState:
    """``last_seq`` is the highest sequence number kept without a hole; ``end`` is None while the log is open."""

    last_seq: int = 0
    end: LogEnd | None = None


class LogStore(Protocol):
    async def append(self, key: StepKey, records: Sequence[LogRecord], clock_offset_ns: int = 0) -> int:
        """Keeps what is new and returns the highest contiguous seq, which is then on disk for good.

        ``clock_offset_ns`` is how far the sender's clock is ahead of ours. Idempotent: repeated records are dropped,
        and records after a hole are left for the sender to repeat.
        Raises UnavailableError when the disk is full.
        """

    async def state(self, key: StepKey) -> LogState: ...

    async def wait_for_end(self, key: StepKey) -> None:
        """Blocks until the log has its END record; reads nothing of it."""

    async def clocks(self, key: StepKey) -> LogClocks:
        """What was told of the sender's clock; empty for a log that is not here."""
        ...

    def read(self, key: StepKey, after_seq: int, *, follow: bool) -> AsyncIterator[Sequence[LogRecord]]:
        """Records after ``after_seq`` in order; with ``follow`` waits for more until the END record."""
        ...
