"""The store of step logs in the control plane. The one adapter keeps a file for each log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogClocks, LogEnd, LogRecord
from gamekeeper.domain.log.log_place import LogPlace


@dataclass(frozen=True)
class LogState:
    """``last_seq`` is the highest sequence number kept without a hole; ``end`` is None while the log is open."""

    last_seq: int = 0
    end: LogEnd | None = None


class LogStore(Protocol):
    """A cancelled call loses nothing: a write that has begun goes on to its end, and the sender repeats."""

    async def append(
        self,
        key: ContainerKey,
        records: Sequence[LogRecord],
        clock_offset_ns: int = 0,
        node: str = "",
        follows: int | None = None,
    ) -> int:
        """Keeps the new records and returns the highest contiguous seq, which is then on disk for good.

        ``clock_offset_ns`` is the lead of the clock of ``node``, which sends, over ours. Blocks until the disk has the
        records. Idempotent: repeated records are dropped, and records after a hole are left for the sender to repeat.
        A run's records beyond its quota are kept as a gap alone; an instance's take the room of its oldest.
        Raises UnavailableError when the disk is full, QuotaError while it is nearly full and for a node over its quota,
        InvalidError for a run whose logs are so far over theirs that they can't even have gaps. With ``follows`` it
        raises OtherPlaceError, and keeps nothing, when the log does not stand there.
        """

    async def state(self, key: ContainerKey) -> LogState:
        """The state of a log; that of an empty one for a log that is not here. Short. Idempotent."""
        ...

    async def place(self, key: ContainerKey) -> LogPlace:
        """The place at which the log stands; more than ``state`` says. It reads some MB. Idempotent."""
        ...

    def held_back(self, node: str) -> str:
        """Words on why the node's logs are not taken now; empty while they are. Short. Idempotent."""
        ...

    async def wait_for_end(self, key: ContainerKey) -> None:
        """Blocks until the log has its END record; reads nothing of it. Idempotent."""

    async def clocks(self, key: ContainerKey) -> LogClocks:
        """The marks of the sender's clock; empty for a log that is not here. Short. Idempotent."""
        ...

    def read(self, key: ContainerKey, after_seq: int, *, follow: bool) -> AsyncIterator[Sequence[LogRecord]]:
        """Yields records after ``after_seq`` in order; with ``follow`` blocks for more until the END record.

        Idempotent. A reader that stops or is cancelled leaves nothing behind.
        """
        ...
