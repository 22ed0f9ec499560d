"""Promises room: the choice of a node and the rows that hold it are one transaction, which the caller draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.placement.candidates import load_candidates, with_gpus, with_ports
from gamekeeper.db.models import PortReservationRow, ReservationRow
from gamekeeper.db.repositories.reservation import Owner, ReservationRepository
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.given_port import PortWish
from gamekeeper.domain.node.demand import Demand, Where
from gamekeeper.domain.node.node import NodeMode, NodeStatus
from gamekeeper.domain.node.placement import Candidate, Placement, Unplaced, can_ever_fit, give, rank
from gamekeeper.domain.node.placement_words import told
from gamekeeper.domain.node.port_range import PortNumber
from gamekeeper.errors import ConflictError, InvalidError

NEXT = "+"  # behind the key of a port of a revision that comes up beside another, until it stays alone
AT_ONCE = 4  # nodes whose ports are read together, best first


async def reserve(
    session: AsyncSession, demand: Demand, container: Container, owner: Owner, *, beside: bool = False
) -> Placement:
    """Chooses the node and promises the room. An owner that has room stays on its node, in whatever mode that is, and
    holds the larger of old and new until ``settle``; its ports stay the same. ``beside`` what it has there it gets the
    room of both, and other ports.

    Raises NotFoundError for a node that is not there, InvalidError for what no node can ever take, and ConflictError
    for what none can take now.
    """
    reservations = ReservationRepository(session)
    await reservations.lock()
    held = await reservations.find(owner)
    beside = beside and held is not None
    if held is not None:
        demand = replace(demand, where=Where(node=held.node_id, sight=demand.where.sight))
        room = (held.cpus, held.memory_bytes, held.pids)
        demand = demand.beside(*room) if beside else demand.at_least(*room)
    candidates = await load_candidates(session, demand, container, owner)
    if held is not None:
        candidates = [_where_it_is(each, held) for each in candidates]
    if (never := can_ever_fit(demand, candidates)) is not None:
        raise InvalidError(f"{owner} fits on no node: {told(never.why)}", hint=_hint(never), code="never_fits")
    answer = await place_with_ports(session, demand, candidates, owner, beside=beside)
    if isinstance(answer, Unplaced):
        raise ConflictError(f"{owner} fits on no node now: {told(answer.why)}", hint=_hint(answer), code="no_room")
    await _write(session, demand, answer, owner, held, NEXT if beside else "")
    return answer


async def place_with_ports(
    session: AsyncSession, demand: Demand, candidates: Sequence[Candidate], owner: Owner, *, beside: bool = False
) -> Placement | Unplaced:
    """As ``place``; ports are read of the best nodes first, since a fleet may have a million of them."""
    (fits, why), sight = rank(demand, candidates), demand.where.sight
    for begin in range(0, len(fits), AT_ONCE):
        few = fits[begin : begin + AT_ONCE]
        few = await with_ports(session, few, owner, sight) if demand.ports else few
        for candidate in await with_gpus(session, few, owner, sight) if demand.gpus else few:
            answer = give(demand, _as_others(candidate, owner) if beside else candidate)
            if isinstance(answer, Placement):
                return answer
            why.append((candidate.id, answer.why))
    return Unplaced(sorted(why))


async def settle(session: AsyncSession, demand: Demand, owner: Owner) -> None:
    """Gives back what the demand, whose ports are given, does not ask for: its revision is the one that stays."""
    reservations = ReservationRepository(session)
    held = await reservations.find(owner)
    if held is None:
        return
    held.cpus, held.memory_bytes, held.pids = demand.cpus, demand.memory_bytes, demand.pids
    if demand.gpus is None:
        held.gpu_vendor, held.gpu_count, held.gpus = "", 0, []
    elif demand.gpus.count is not None:
        held.gpu_count = demand.gpus.count
        held.gpus = [each for each in held.gpus if each in demand.gpus.ids] or held.gpus[: held.gpu_count]
    wanted = numbers_of(demand.ports, {wish.key: wish.number for wish in demand.ports if wish.number is not None})
    for row in await reservations.ports_of(owner):
        key = wanted.get((row.protocol, row.number))
        if key is None:
            await reservations.remove_port(row)
        else:
            row.key = key


async def release(session: AsyncSession, owner: Owner) -> bool:
    """Gives all room of the owner back; False where it had none any more, so it is given back once."""
    return await ReservationRepository(session).remove(owner)


def numbers_of(wishes: Sequence[PortWish], given: Mapping[str, int]) -> dict[PortNumber, str]:
    """Every single number with the key of its wish."""
    return {
        (protocol, given[wish.key] + index): wish.key
        for wish in wishes
        if wish.key in given
        for protocol in wish.protocols
        for index in range(wish.count)
    }


def _as_others(candidate: Candidate, owner: Owner) -> Candidate:
    """The candidate where the owner is as any other: both of its revisions have their ports for a while."""
    return replace(candidate, own={}, taken={**candidate.taken, **dict.fromkeys(candidate.own, str(owner))})


def _where_it_is(candidate: Candidate, held: ReservationRow) -> Candidate:
    """The node of an owner that is there: not even an operator's smaller numbers take away what it holds."""
    capacity, used = candidate.capacity, candidate.used
    gpus = dict(capacity.gpus)
    if held.gpu_count:
        least = used.gpus.get(held.gpu_vendor, 0) + held.gpu_count
        gpus[held.gpu_vendor] = max(gpus.get(held.gpu_vendor, 0), least)
    room = replace(
        capacity,
        cpus=None if capacity.cpus is None else max(capacity.cpus, used.cpus + held.cpus),
        memory_bytes=None
        if capacity.memory_bytes is None
        else max(capacity.memory_bytes, used.memory_bytes + held.memory_bytes),
        pids=None if capacity.pids is None else max(capacity.pids, used.pids + held.pids),
        gpus=gpus,
    )
    return replace(candidate, mode=NodeMode.ACTIVE, status=NodeStatus.ONLINE, capacity=room)


async def _write(
    session: AsyncSession, demand: Demand, answer: Placement, owner: Owner, held: ReservationRow | None, mark: str
) -> None:
    reservations = ReservationRepository(session)
    row = held or ReservationRow(owner_kind=owner.kind, owner_id=owner.id, node_id=answer.node)
    row.cpus, row.memory_bytes, row.pids = demand.cpus, demand.memory_bytes, demand.pids
    if answer.gpu_count >= row.gpu_count:
        row.gpu_vendor, row.gpu_count = answer.gpu_vendor, answer.gpu_count
    row.gpus = [*row.gpus, *(each for each in answer.gpus if each not in row.gpus)]
    reservations.add(row)
    known = {(port.protocol, port.number) for port in await reservations.ports_of(owner)} if held else set()
    for (protocol, number), key in numbers_of(demand.ports, answer.ports).items():
        if (protocol, number) not in known:
            reservations.add(
                PortReservationRow(
                    node_id=answer.node,
                    protocol=protocol,
                    number=number,
                    owner_kind=owner.kind,
                    owner_id=owner.id,
                    key=key + mark,
                )
            )


def _hint(unplaced: Unplaced) -> str:
    if not unplaced.why:
        return "add a node: gamekeeper node add"
    return "gamekeeper node show NODE tells its room and labels"
