"""The nodes as placement sees them, read from their rows and from what is promised on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.placement.holder_names import holder_names
from gamekeeper.db.models import NodeRow
from gamekeeper.db.readable import column, readable
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.reservation import Owner, ReservationRepository
from gamekeeper.domain.access.bounds import Bounds
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.capacity import Capacity, capacity_of
from gamekeeper.domain.node.condition import ConditionType
from gamekeeper.domain.node.demand import Demand, Where
from gamekeeper.domain.node.inventory import Inventory
from gamekeeper.domain.node.node import NodeMode, NodeStatus
from gamekeeper.domain.node.placement import Candidate, Neighbour, Use, policy_refusals
from gamekeeper.domain.node.policy import NodePolicy

# With one of these a node takes nothing new, unless it is asked for by its id.
_TROUBLES = frozenset(
    {
        ConditionType.DOCKER_UNRESPONSIVE,
        ConditionType.WORK_UNREACHABLE,
        ConditionType.DISK_PRESSURE,
        ConditionType.MEMORY_PRESSURE,
    }
)


@dataclass(frozen=True)
class Seen:
    """A node's row as far as this version can read it; of one that it can't, ``fault`` says why."""

    row: NodeRow
    capacity: Capacity
    policy: NodePolicy | None
    rules: str
    fault: str = ""


class Fleet:
    """Nodes with the room that is promised on them. Reading their rows is done once, for any number of demands."""

    def __init__(self, rows: Sequence[NodeRow], used: Mapping[str, Use]) -> None:
        self._seen = [_seen(row) for row in rows]
        self._used = used

    def candidates(self, where: Where, container: Container) -> list[Candidate]:
        """Without ports and neighbours. Of a node that has not the labels no more is looked at."""
        judged: dict[str, list[str]] = {}
        return [
            self._candidate(seen, container, judged)
            if where.labels.items() <= seen.row.labels.items()
            else Candidate(seen.row.id, seen.row.labels)
            for seen in self._seen
            if where.allowed.covers(Target(ObjectKind.NODE, seen.row.id, seen.row.labels))
        ]

    def _candidate(self, seen: Seen, container: Container, judged: dict[str, list[str]]) -> Candidate:
        """``judged`` has the refusals by each policy: most nodes of a fleet share a few."""
        row = seen.row
        if seen.rules not in judged:
            judged[seen.rules] = policy_refusals(seen.policy, container)
        return Candidate(
            id=row.id,
            labels=row.labels,
            mode=NodeMode(row.mode),
            status=NodeStatus(row.status),
            architecture=str(row.hardware.get("architecture", "")),
            abilities=row.system.get("abilities"),
            agent=row.agent_version,
            capacity=seen.capacity,
            used=self._used.get(row.id, Use()),
            refusals=[seen.fault] if seen.fault else judged[seen.rules],
            troubles=[each["reason"] for each in row.conditions if each["type"] in _TROUBLES],
        )


async def load_fleet(session: AsyncSession, node_id: str | None = None, but: Owner | None = None) -> Fleet:
    """All nodes, or one. Raises NotFoundError where that is not there."""
    used = await ReservationRepository(session).used(but, node_id)
    if node_id is not None:
        return Fleet([await NodeRepository(session).get(node_id)], used)
    rows, _ = await readable(session, select(NodeRow).order_by(NodeRow.id), column(NodeRow.id))
    return Fleet(rows, used)


async def load_candidates(session: AsyncSession, demand: Demand, container: Container, owner: Owner) -> list[Candidate]:
    """All nodes, or the one that is asked for, without their ports. Raises NotFoundError where that is not there."""
    where = demand.where
    fleet = await load_fleet(session, where.node, owner)
    neighbours = await ReservationRepository(session).instances(where.group, where.anti_affinity)
    others = {id_: [each for each in all_ if each.owner != str(owner)] for id_, all_ in neighbours.items()}
    others = await with_names(session, others, where.sight)
    found = fleet.candidates(where, container)
    return [replace(candidate, neighbours=others.get(candidate.id, ())) for candidate in found]


async def with_names(
    session: AsyncSession, neighbours: Mapping[str, Sequence[Neighbour]], sight: Bounds
) -> dict[str, list[Neighbour]]:
    """The neighbours of each node by the names that ``sight`` may be told."""
    holders = {each.owner: Owner.parse(each.owner) for all_ in neighbours.values() for each in all_}
    names = await holder_names(session, holders.values(), sight)
    return {id_: [replace(each, owner=names[holders[each.owner]]) for each in all_] for id_, all_ in neighbours.items()}


async def with_gpus(
    session: AsyncSession, candidates: Sequence[Candidate], owner: Owner, sight: Bounds
) -> list[Candidate]:
    """The candidates with the GPUs that others hold there, and those of the owner."""
    held = await ReservationRepository(session).gpus([candidate.id for candidate in candidates])
    names = await holder_names(session, {who for gpus in held.values() for who in gpus.values()}, sight)
    return [
        replace(
            candidate,
            taken_gpus={gpu: names[who] for gpu, who in held.get(candidate.id, {}).items() if who != owner},
            own_gpus={gpu for gpu, who in held.get(candidate.id, {}).items() if who == owner},
        )
        for candidate in candidates
    ]


async def with_ports(
    session: AsyncSession, candidates: Sequence[Candidate], owner: Owner, sight: Bounds
) -> list[Candidate]:
    """The candidates with the ports that others hold there, or publish without holding them, and those of the owner."""
    reservations, ids = ReservationRepository(session), [candidate.id for candidate in candidates]
    taken, seen = await reservations.ports(ids), await reservations.seen_ports(ids)
    rows = await reservations.ports_of(owner)
    names = await holder_names(session, {holder for ports in taken.values() for holder in ports.values()}, sight)
    return [
        replace(
            candidate,
            taken={port: names[holder] for port, holder in taken.get(candidate.id, {}).items() if holder != owner},
            own={(row.protocol, row.number): row.key for row in rows if row.node_id == candidate.id},
            shunned=seen.get(candidate.id, frozenset()),
        )
        for candidate in candidates
    ]


def capacity_of_row(row: NodeRow, policy: NodePolicy | None) -> Capacity:
    return capacity_of(row.capacity, row.capacity_override, Inventory.model_validate(row.inventory), policy)


def policy_of_row(row: NodeRow) -> NodePolicy | None:
    """None of a node that has told none."""
    return None if row.policy is None else NodePolicy.model_validate(row.policy)


def _seen(row: NodeRow) -> Seen:
    """A node of which something can't be read by this version takes nothing, and says so."""
    try:
        policy = policy_of_row(row)
        return Seen(row, capacity_of_row(row, policy), policy, "" if policy is None else policy.revision)
    except ValidationError as error:
        return Seen(row, Capacity(), None, "", f"its row can't be read by this version: {str(error).splitlines()[0]}")
