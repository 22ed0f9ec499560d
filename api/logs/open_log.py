"""Logs that are in use: what is known of each is read from its files once, and there is one of it for all who use it.

Of a log that nobody uses nothing has to stay: reading it again costs one pass over its last file. So a node that makes
up logs, or a user who looks at thousands, fills no memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from api.logs.cut import OpenGap
from api.logs.dropped import find_dropped
from api.logs.format import TEMPORARY, read_clocks, records_of
from api.logs.segments import Segment, segment_path
from api.logs.usage import INSTANCES, LogFolder
from api.logs.writer import OneWriter
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey
from gamekeeper.domain.log.log import LogClocks, LogEnd, LogRecord, LogStream
from gamekeeper.domain.log.log_place import LogPlace
from gamekeeper.ports.log_store import LogState

DROPPED = "the oldest lines made room for newer ones (GAMEKEEPER_LOG_INSTANCE_BYTES, GAMEKEEPER_LOG_NODE_BYTES)"
KEPT = 10_000  # of those used last, some 40 MB


@dataclass(eq=False)
class OpenLog:
    """``size`` is the place behind its good bytes. Whoever changes anything holds ``lock``, which the revisions of an
    instance share: they take room from each other."""

    key: ContainerKey
    path: Path
    folder: LogFolder
    segments: tuple[Segment, ...]
    size: int
    last_seq: int
    end: LogEnd | None
    open_gap: OpenGap | None
    clocks: LogClocks
    lock: asyncio.Lock
    place: LogPlace | None = None  # when somebody has asked for it
    grown: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def lacks_oldest(self) -> bool:
        return self.segments[0].first_seq > 1

    @property
    def state(self) -> LogState:
        end = self.end
        if end is not None and end.complete and self.lacks_oldest:
            end = LogEnd(False, DROPPED)
        return LogState(self.last_seq, end)


class OpenLogs:
    """Logs below ``root`` by their keys. While another process writes them none is remembered."""

    def __init__(self, root: Path, writer: OneWriter) -> None:
        self._root = root
        self._writer = writer
        self._logs: WeakValueDictionary[ContainerKey, OpenLog] = WeakValueDictionary()
        self._folders: WeakValueDictionary[Path, LogFolder] = WeakValueDictionary()
        self._recent: dict[ContainerKey, OpenLog] = {}
        self._turns: WeakValueDictionary[ContainerKey | Path, asyncio.Lock] = WeakValueDictionary()

    async def get(self, key: ContainerKey) -> OpenLog:
        if not self._writer.is_ours:
            return await asyncio.to_thread(_open_alone, self._root, key)
        if (log := self._logs.get(key)) is None:
            async with self._turn(key):
                if (log := self._logs.get(key)) is None:
                    log = self._logs[key] = await self._open(key)
        self._recent.pop(key, None)
        self._recent[key] = log
        if len(self._recent) > KEPT:
            del self._recent[next(iter(self._recent))]
        return log

    async def folder(self, path: Path) -> LogFolder:
        if (folder := self._folders.get(path)) is None:
            async with self._turn(path):
                if (folder := self._folders.get(path)) is None:
                    folder = self._folders[path] = await asyncio.to_thread(_look, path)
        return folder

    def forget(self, log: OpenLog) -> None:
        """Lets the next user read anew what is on the disk."""
        if self._logs.get(log.key) is log:
            del self._logs[log.key]
            self._recent.pop(log.key, None)

    async def _open(self, key: ContainerKey) -> OpenLog:
        folder = await self.folder((self._root / place_of_log(key)).parent)
        return await asyncio.to_thread(recover, self._root, key, folder)

    @asynccontextmanager
    async def _turn(self, name: ContainerKey | Path) -> AsyncIterator[None]:
        """One at a time: what a slower one had read of the files may be old by then."""
        lock = self._turns.setdefault(name, asyncio.Lock())
        async with lock:
            yield


def place_of_log(key: ContainerKey) -> str:
    if isinstance(key, InstanceKey):
        return f"{INSTANCES}/{key.instance}/{key.revision}.log"
    return f"{key.run_id}/{key.step}.{key.try_}.log"


def end_of(newest: LogRecord) -> LogEnd | None:
    """The end that its newest record gives a log. One that goes on behind an end, in a new container of its instance,
    has none any more."""
    return LogEnd.decode(newest.data) if newest.stream is LogStream.END else None


def _look(path: Path) -> LogFolder:
    """Nobody uses the folder yet, so what is unfinished in it was left by a kill."""
    for unfinished in path.glob(f"*{TEMPORARY}"):
        unfinished.unlink(missing_ok=True)
    return LogFolder.look(path)


def _open_alone(root: Path, key: ContainerKey) -> OpenLog:
    return recover(root, key, LogFolder.look((root / place_of_log(key)).parent))


def recover(root: Path, key: ContainerKey, folder: LogFolder) -> OpenLog:
    """A log by the good records of its last segment: those before it were whole when it was begun."""
    path = root / place_of_log(key)
    sizes, dropped = folder.sizes.get(path.name), None
    if not sizes and (dropped := find_dropped(root, key)) is not None:
        sizes = {dropped.last_seq + (dropped.end is None): 0}
    segments, start = [], 0
    for first, size in sorted((sizes or {1: 0}).items()):
        segments.append(Segment(segment_path(path, first), first, start))
        start += size
    last = segments[-1]
    lock = folder.lock if isinstance(key, InstanceKey) else asyncio.Lock()
    clocks = read_clocks(path)
    found = OpenLog(key, path, folder, tuple(segments), last.start, last.first_seq - 1, None, None, clocks, lock)
    if dropped is not None:
        found.last_seq, found.end = dropped.last_seq, dropped.end
    if last.path.exists():
        with open(last.path, "rb") as file:
            for record, end in records_of(file, 0):
                found.open_gap = OpenGap.of(found.size, record)
                found.last_seq, found.end = max(record.seq, found.last_seq), end_of(record)
                found.size = last.start + end
    return found
