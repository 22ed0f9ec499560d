"""Parts of logs, and several logs in one order: that of the server's clock, whatever the nodes' clocks say."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gamekeeper.domain.container.container_key import ContainerKey
from gamekeeper.domain.log.log import LogRecord, LogStream
from gamekeeper.ports.log_store import LogStore


@dataclass(frozen=True, slots=True)
class StampedRecord:
    """A record of one of several logs; ``at_ns`` is when it was written, by the server's clock."""

    at_ns: int
    key: ContainerKey
    record: LogRecord


async def start_of(logs: LogStore, key: ContainerKey, tail: int | None, since: datetime | None) -> int:
    """The number of the record after which the wanted lines begin."""
    if tail is None and since is None:
        return 0
    clocks = await logs.clocks(key)
    since_ns = since.timestamp() * 1e9 if since else 0
    lines: deque[int] = deque(maxlen=tail)  # the last records before the wanted lines
    last, is_open = 0, False
    async for records in logs.read(key, 0, follow=False):
        for record in records:
            if record.stream is LogStream.END:
                continue
            if not is_open and clocks.server_ns(record) >= since_ns:
                if tail is None:
                    return last
                lines.append(last)
            last, is_open = record.seq, not record.data.endswith(b"\n") and record.stream is not LogStream.GAP
    return lines[0] if lines else last


async def stamped(logs: LogStore, key: ContainerKey, after_seq: int) -> AsyncIterator[StampedRecord]:
    """The records of one log that there are; a line is never before the one that it follows."""
    clocks, newest = await logs.clocks(key), 0
    async for records in logs.read(key, after_seq, follow=False):
        for record in records:
            if record.stream is not LogStream.END:
                newest = max(newest, clocks.server_ns(record))
                yield StampedRecord(newest, key, record)


async def merge(logs: Sequence[AsyncIterator[StampedRecord]]) -> AsyncIterator[StampedRecord]:
    firsts = [(index, await anext(log, None)) for index, log in enumerate(logs)]
    heap = [(first.at_ns, index, first) for index, first in firsts if first is not None]
    heapq.heapify(heap)
    while heap:
        _, index, record = heap[0]
        yield record
        following = await anext(logs[index], None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.at_ns, index, following))
