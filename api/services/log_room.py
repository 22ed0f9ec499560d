"""Keeps account of the room that logs take: counts it now and then, lets old logs make room, tells of what is full."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from itertools import islice

from api.logs.files import LogFiles
from api.logs.segments import SUFFIX, parse_name
from api.logs.usage import FoundFile, FoundFolder, folders_of
from gamekeeper.control_plane.server_room import server_trouble
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.disk import DiskFloor
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.logging import get_logger

log = get_logger(__name__)

BATCH = 200  # folders that are looked at in one piece, and asked of the database at once
OLD_AT_ONCE = 10_000
RECOUNT_SECONDS = 6 * 3600.0
FILLED = 0.9  # of its quota, to which a node's old logs are dropped

Nodes = dict[tuple[str, str], str]


class LogRoomService:
    """``keep`` is for how long no log makes room for others."""

    def __init__(
        self,
        database: Database,
        logs: LogFiles,
        floor: DiskFloor,
        keep: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._logs = logs
        self._floor = floor
        self._keep = keep
        self._clock = clock
        self._counted_at = float("-inf")
        self._is_low: bool | None = None

    async def look(self) -> None:
        """Tells of runs that are over their quota, and of a disk that gets full or has room again, since the last time
        that it was told: the control worker goes by that."""
        if self._is_low is None:
            self._is_low = await self._was_low()
        trouble = self._floor.trouble(is_low=self._is_low)
        events = []
        if bool(trouble) != self._is_low:
            kind = EventKind.SERVER_DISK_LOW if trouble else EventKind.SERVER_DISK_FREE
            events.append(Event(kind=kind, message=trouble))
        cuts = list(self._logs.cuts)
        for key, node in cuts:
            message = f"from step {key.step}, try {key.try_} on (GAMEKEEPER_LOG_RUN_BYTES)"
            events.append(Event(kind=EventKind.RUN_LOGS_CUT, run=key.run_id, step=key.step, node=node, message=message))
        if not events:
            return
        async with self._database.write() as session:
            for event in events:
                record(session, event)
        del self._logs.cuts[: len(cuts)]
        if bool(trouble) != self._is_low:
            log.warning("%s", trouble or "the disks have room again")
            self._is_low = bool(trouble)

    async def _was_low(self) -> bool:
        async with self._database.read() as session:
            return bool(await server_trouble(session))

    async def keep_account(self) -> None:
        """Counts what each node has here, at a start, while one is held back, and a few times a day. The oldest logs of
        those that are held back make room."""
        usage = self._logs.usage
        if not usage.held and self._clock() - self._counted_at < RECOUNT_SECONDS:
            return
        usage.begin_count()
        total: Counter[str] = Counter()
        old = _OldLogs(set(usage.held), time.time() - self._keep.total_seconds())
        async for folder, nodes in self._folders():
            total.update(usage.found_before(folder.path, _by_node(folder, nodes)))
            old.add(folder, nodes)
        usage.counted(total)
        self._counted_at = self._clock()
        await self._make_room(old)

    async def _make_room(self, old: _OldLogs) -> None:
        """A node that has room again, whatever made it, is held back no more."""
        usage = self._logs.usage
        enough = FILLED * usage.limits.node_bytes
        for node, key in old.oldest_first():
            if usage.nodes[node] > enough:
                await self._logs.drop_oldest(key, node)
        for node in old.held:
            if usage.nodes[node] <= enough:
                usage.held.pop(node, None)

    async def _folders(self) -> AsyncIterator[tuple[FoundFolder, Nodes]]:
        """All folders of logs, and the nodes of the steps and instances in them."""
        walk = folders_of(self._logs.root)
        while batch := await asyncio.to_thread(list, islice(walk, BATCH)):
            runs = {folder.path.name for folder in batch if not folder.is_instance}
            instances = {folder.path.name for folder in batch if folder.is_instance}
            async with self._database.read() as session:
                nodes = await RunRepository(session).nodes_of_steps(runs)
                found = await InstanceRepository(session).nodes_of(instances)
            nodes |= {(instance, ""): node for instance, node in found.items()}
            for folder in batch:
                yield folder, nodes


class _OldLogs:
    """The oldest logs of nodes that are ``held`` back, of those unchanged since ``before``: so many at the most, or
    those of years would fill the memory."""

    def __init__(self, held: set[str], before: float) -> None:
        self.held = held
        self._before = before
        self._found: list[tuple[float, str, ContainerKey]] = []

    def add(self, folder: FoundFolder, nodes: Nodes) -> None:
        self._found += [
            (file.changed_at, node, key)
            for file in folder.files
            if file.changed_at < self._before
            if (node := _node_of(folder, file, nodes)) in self.held and (key := _key_of(folder, file)) is not None
        ]
        if len(self._found) > OLD_AT_ONCE:
            self._found = heapq.nsmallest(OLD_AT_ONCE // 2, self._found, key=_moment)

    def oldest_first(self) -> Iterator[tuple[str, ContainerKey]]:
        for _, node, key in sorted(self._found, key=_moment):
            yield node, key


def _moment(found: tuple[float, str, ContainerKey]) -> float:
    return found[0]


def _by_node(folder: FoundFolder, nodes: Nodes) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for file in folder.files:
        sizes[_node_of(folder, file, nodes)] += file.bytes
    return sizes


def _node_of(folder: FoundFolder, file: FoundFile, nodes: Nodes) -> str:
    """Empty for what belongs to no step or instance that is known."""
    step = "" if folder.is_instance else _stem(file).rpartition(".")[0]
    return nodes.get((folder.path.name, step), "")


def _stem(file: FoundFile) -> str:
    """A log's name without the ending and the number of its segment: ``STEP.TRY``, or a revision."""
    return file.name.rpartition(".")[0].partition("@")[0]


def _key_of(folder: FoundFolder, file: FoundFile) -> ContainerKey | None:
    """None for another file than a log."""
    step, _, number = _stem(file).rpartition(".")
    if not file.name.endswith(SUFFIX) or parse_name(file.name) is None or not (number.isascii() and number.isdecimal()):
        return None
    if folder.is_instance:
        return InstanceKey(instance=folder.path.name, revision=int(number))
    return StepKey(run_id=folder.path.name, step=step, try_=int(number))
