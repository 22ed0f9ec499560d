"""Promises the tries of steps their room, beside the instances of the node and under the same lock.

A try whose room is short waits in its workflow; what it holds is given back with the words that it has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.placement.candidates import capacity_of_row, policy_of_row
from gamekeeper.control_plane.placement.holder_names import holder_names, sight_of_run
from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.reservation import Owner, ReservationRepository
from gamekeeper.db.repositories.step_room import OWNER_KIND, StepRoomRepository
from gamekeeper.domain.node.capacity import Capacity
from gamekeeper.domain.node.gpu_choice import GivenGpus
from gamekeeper.domain.node.placement import Use, gpus_of, resources_short
from gamekeeper.domain.node.port_range import PortNumber
from gamekeeper.domain.run.step_room import RoomAnswer, RoomRequest, StepRoom


class SqlRoomStore:
    """RoomStore on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, request: RoomRequest) -> list[RoomAnswer]:
        async with self._database.write() as session:
            return await take_rooms(session, request)


async def take_rooms(session: AsyncSession, request: RoomRequest) -> list[RoomAnswer]:
    """An answer for each that is asked for, in their order: who comes first may leave nothing for the next."""
    await ReservationRepository(session).lock()
    rooms = StepRoomRepository(session)
    await rooms.release(request.released)
    kept = await rooms.used_by(request.kept)
    nodes: dict[str, _Node] = {}
    answers = []
    for room in request.asked:
        if room.node not in nodes:
            nodes[room.node] = await _load(session, room.node, kept.get(room.node, Use()))
        answers.append(await _take(session, room, nodes[room.node]))
    return answers


def short_ever(room: StepRoom, row: NodeRow) -> str:
    """The reasons why the node could not take the room if it were empty."""
    return _limits(row).short(room, Use())


@dataclass(frozen=True)
class _Limits:
    """The room of a node. ``bounds`` are the items of which its operator has said how much."""

    capacity: Capacity = field(default_factory=Capacity)
    bounds: frozenset[str] = frozenset()
    knows_gpus: bool = False

    def short(self, room: StepRoom, used: Use) -> str:
        """The reasons against the room; what neither the step nor the node's operator has limited bounds nothing."""
        capacity = replace(
            self.capacity,
            cpus=self.capacity.cpus if room.cpus or "cpus" in self.bounds else None,
            memory_bytes=self.capacity.memory_bytes if room.memory_bytes or "memory_bytes" in self.bounds else None,
        )
        demand = room.demand if self.knows_gpus else replace(room.demand, gpus=None)
        return "; ".join(resources_short(demand, capacity, used))


@dataclass
class _Node:
    """A node while rooms are promised on it. ``kept`` is what the run itself holds there until its end."""

    id: str
    limits: _Limits
    used: Use
    kept: Use
    ports: dict[PortNumber, Owner]
    gpus: dict[str, Owner]

    def taken(self, room: StepRoom) -> PortNumber | None:
        """The first port that somebody has."""
        return next((port for port in _numbers(room) if port in self.ports), None)

    def add(self, room: StepRoom, given: GivenGpus) -> None:
        demand, used, vendor = room.demand, self.used, given.vendor
        gpus = {**used.gpus, vendor: used.gpus.get(vendor, 0) + given.count} if given.count else used.gpus
        self.gpus |= dict.fromkeys(given.ids, Owner(OWNER_KIND, str(room.key)))
        self.used = Use(used.cpus + demand.cpus, used.memory_bytes + demand.memory_bytes, used.pids + demand.pids, gpus)
        self.ports |= dict.fromkeys(_numbers(room), Owner(OWNER_KIND, str(room.key)))


async def _load(session: AsyncSession, node_id: str, kept: Use) -> _Node:
    reservations = ReservationRepository(session)
    row = await NodeRepository(session).find(node_id)
    return _Node(
        id=node_id,
        limits=_limits(row) if row is not None else _Limits(),
        used=(await reservations.used(node_id=node_id)).get(node_id, Use()),
        kept=kept,
        ports=dict((await reservations.ports([node_id])).get(node_id, {})),
        gpus=dict((await reservations.gpus([node_id])).get(node_id, {})),
    )


def _limits(row: NodeRow) -> _Limits:
    """A node that this version can't read bounds nothing, nor does one that is not there: its agent, or the wait for
    it, tells what is wrong."""
    try:
        capacity = capacity_of_row(row, policy_of_row(row))
    except ValidationError:
        return _Limits()
    knows_gpus = bool(row.inventory) or "gpus" in row.capacity_override
    return _Limits(capacity, frozenset(row.capacity_override), knows_gpus)


async def _take(session: AsyncSession, room: StepRoom, node: _Node) -> RoomAnswer:
    rooms = StepRoomRepository(session)
    if (held := await rooms.find(room.key)) is not None:
        return _granted(held.gpu_vendor, held.gpus, node)
    if never := node.limits.short(room, node.kept):
        own = "; the services of this run keep the rest" if node.kept != Use() else ""
        return RoomAnswer(why=f"node {node.id}: {never}{own}", never=True)
    if short := node.limits.short(room, node.used):
        return RoomAnswer(why=f"node {node.id}: {short}")
    if (port := node.taken(room)) is not None:
        holder = (await _names(session, room, [node.ports[port]]))[node.ports[port]]
        return RoomAnswer(why=f"node {node.id}: port {port[1]}/{port[0]} is taken by {holder}")
    asked = room.demand.gpus if node.limits.knows_gpus else None
    names = await _names(session, room, node.gpus.values()) if asked is not None and asked.ids else {}
    taken = {gpu: names.get(who, "") for gpu, who in node.gpus.items()}
    gpus = gpus_of(asked, node.limits.capacity, node.used, taken)
    if isinstance(gpus, str):
        return RoomAnswer(why=f"node {node.id}: {gpus}")
    rooms.add(room, gpus)
    node.add(room, gpus)
    return _granted(gpus.vendor, gpus.ids, node)


async def _names(session: AsyncSession, room: StepRoom, holders: Collection[Owner]) -> dict[Owner, str]:
    """The holders as whoever asked for the run may be told of them."""
    return await holder_names(session, holders, await sight_of_run(session, room.key.run_id))


def _granted(vendor: str, ids: Sequence[str], node: _Node) -> RoomAnswer:
    known = list(node.limits.capacity.gpu_ids.get(vendor, ()))
    return RoomAnswer(gpu_vendor=vendor, gpus=list(ids), all_gpus=known) if ids else RoomAnswer()


def _numbers(room: StepRoom) -> list[PortNumber]:
    return [(port.protocol, port.number + index) for port in room.ports for index in range(port.count)]
