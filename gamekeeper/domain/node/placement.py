"""Placement: the node of an instance. Filters leave nodes out and say why, a score orders the others.

It is pure and it repeats: the same demand and the same candidates give the same node. Whoever reserves what it answers
does so in the transaction in which it read the candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.ability import missing
from gamekeeper.domain.node.capacity import Capacity
from gamekeeper.domain.node.demand import NODE_KEY, Demand, GpuDemand
from gamekeeper.domain.node.gpu_choice import GivenGpus, choose_gpus, vendors_of
from gamekeeper.domain.node.node import NodeMode, NodeStatus
from gamekeeper.domain.node.placement_words import cpus_short, labels_short, memory_short, number_short
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.node.port_range import NoPorts, PortNumber, choose_ports

ROUNDING = 1e-6  # of sums of CPUs


@dataclass(frozen=True)
class Use:
    """The room of a node that is promised already."""

    cpus: float = 0.0
    memory_bytes: int = 0
    pids: int = 0
    gpus: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Neighbour:
    """Something that has its place on a node."""

    owner: str
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True)
class Candidate:
    """A node with what is promised on it to others. ``refusals`` are reasons against it that no room would take away,
    ``troubles`` those that pass; ``abilities`` are those of its ``agent``, by version. ``own`` are the ports that the
    asking one has there, with their keys, and ``own_gpus`` its GPUs; ``shunned`` are no free ones, though nobody holds
    them."""

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)
    mode: NodeMode = NodeMode.ACTIVE
    status: NodeStatus = NodeStatus.ONLINE
    architecture: str = ""
    abilities: Sequence[str] | None = None
    agent: str = ""
    capacity: Capacity = field(default_factory=Capacity)
    used: Use = field(default_factory=Use)
    taken: Mapping[PortNumber, str] = field(default_factory=dict)
    own: Mapping[PortNumber, str] = field(default_factory=dict)
    taken_gpus: Mapping[str, str] = field(default_factory=dict)
    own_gpus: Set[str] = frozenset()
    shunned: Set[PortNumber] = frozenset()
    neighbours: Sequence[Neighbour] = ()
    refusals: Sequence[str] = ()
    troubles: Sequence[str] = ()


@dataclass(frozen=True)
class Placement:
    """``ports`` has the first number of each wish by its key, ``gpus`` the ids of its GPUs, where they are known, among
    ``all_gpus`` of the vendor."""

    node: str
    ports: Mapping[str, int] = field(default_factory=dict)
    gpu_vendor: str = ""
    gpu_count: int = 0
    gpus: Sequence[str] = ()
    all_gpus: Sequence[str] = ()


@dataclass(frozen=True)
class NotGiven:
    """The reason why a node that has the room has not the ports or GPUs."""

    why: str


@dataclass(frozen=True)
class Unplaced:
    """``why`` has every node that was looked at, with the reasons against it."""

    why: Sequence[tuple[str, str]]


def place(demand: Demand, candidates: Sequence[Candidate]) -> Placement | Unplaced:
    fits, why = rank(demand, candidates)
    for candidate in fits:
        answer = give(demand, candidate)
        if isinstance(answer, Placement):
            return answer
        why.append((candidate.id, answer.why))
    return Unplaced(sorted(why))


def give(demand: Demand, candidate: Candidate) -> Placement | NotGiven:
    """The place on a node that has the room, where it has the ports as well."""
    ports = choose_ports(demand.ports, candidate.capacity.ports, candidate.taken, candidate.own, candidate.shunned)
    if isinstance(ports, NoPorts):
        return NotGiven(ports.why)
    given = gpus_of(demand.gpus, candidate.capacity, candidate.used, candidate.taken_gpus, candidate.own_gpus)
    if isinstance(given, str):
        return NotGiven(given)
    return Placement(candidate.id, ports, given.vendor, given.count, given.ids, given.known)


def rank(demand: Demand, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[tuple[str, str]]]:
    """The nodes that have the room, best first, and the reasons against each of the others. Ports are not looked at."""
    fits, why = list[Candidate](), list[tuple[str, str]]()
    for candidate in candidates:
        reasons = list(_against_ever(demand, candidate)) or list(_against_now(demand, candidate))
        if reasons:
            why.append((candidate.id, "; ".join(reasons)))
        else:
            fits.append(candidate)
    score = _score(demand, candidates)
    return sorted(fits, key=lambda candidate: (*score(candidate), candidate.id)), why


def can_ever_fit(demand: Demand, candidates: Sequence[Candidate]) -> Unplaced | None:
    """None where some node could take the demand if it were empty and active."""
    why = []
    for candidate in candidates:
        reasons = list(_against_ever(demand, candidate))
        if not reasons:
            return None
        why.append((candidate.id, "; ".join(reasons)))
    return Unplaced(sorted(why))


def policy_refusals(policy: NodePolicy | None, container: Container) -> list[str]:
    if policy is None:
        return []
    found = policy.violations(container)
    return [f"its policy ({policy.revision}) forbids it: {violation}" for violation in found]


def _against_ever(demand: Demand, candidate: Candidate) -> Iterator[str]:
    where, capacity = demand.where, candidate.capacity
    if where.node is not None and where.node != candidate.id:
        yield f'node "{where.node}" is asked for'
        return
    if short := labels_short(where.labels, candidate.labels):
        yield short
        return
    if demand.architecture and candidate.architecture and demand.architecture != candidate.architecture:
        yield f"it is {candidate.architecture}, {demand.architecture} is asked for"
    if short := missing(demand.abilities, candidate.abilities, candidate.agent):
        yield short
    yield from candidate.refusals
    yield from resources_short(demand, capacity, Use())
    for wish in demand.ports:
        if wish.within is None and wish.count > len(capacity.ports):
            yield f"its ports {capacity.ports} are {len(capacity.ports)}, {wish.count} in a row are asked for"


def _against_now(demand: Demand, candidate: Candidate) -> Iterator[str]:
    if candidate.mode is NodeMode.MAINTENANCE:
        yield "it is in maintenance: it takes nothing new"
    if candidate.mode is NodeMode.DISABLED:
        yield "it is disabled"
    if demand.where.node is None:  # one that is asked for by its id is waited for
        if not candidate.status.reachable:
            yield "it has never been there" if candidate.status is NodeStatus.NEVER_SEEN else "it is offline"
        yield from candidate.troubles
    yield from resources_short(demand, candidate.capacity, candidate.used)
    pairs = demand.where.anti_affinity.items()
    beside = next((each for each in candidate.neighbours if pairs and pairs <= each.labels.items()), None)
    if beside is not None:
        yield f"{beside.owner} is there, and anti_affinity keeps both apart"


def resources_short(demand: Demand, capacity: Capacity, used: Use) -> Iterator[str]:
    """The reasons why the demand has no room beside what is used."""
    if capacity.cpus is not None and used.cpus + demand.cpus > capacity.cpus + ROUNDING:
        yield cpus_short(capacity.cpus - used.cpus, capacity.cpus, demand.cpus)
    if capacity.memory_bytes is not None and used.memory_bytes + demand.memory_bytes > capacity.memory_bytes:
        yield memory_short(capacity.memory_bytes - used.memory_bytes, capacity.memory_bytes, demand.memory_bytes)
    if capacity.pids is not None and used.pids + demand.pids > capacity.pids:
        yield number_short(capacity.pids - used.pids, capacity.pids, demand.pids, "processes")
    if demand.gpus is not None:
        yield from _gpus_short(demand.gpus, capacity, used)


def _gpus_short(asked: GpuDemand, capacity: Capacity, used: Use) -> Iterator[str]:
    vendors = [asked.vendor] if asked.vendor else vendors_of(capacity)
    if any(_enough(asked, capacity, used, vendor) for vendor in vendors):
        return
    total = sum(capacity.gpus.get(vendor, 0) for vendor in vendors)
    free = sum(capacity.gpus.get(vendor, 0) - used.gpus.get(vendor, 0) for vendor in vendors)
    what = f"{asked.vendor} GPUs" if asked.vendor else "GPUs"
    yield number_short(free, total, asked.count, what)


def _enough(asked: GpuDemand, capacity: Capacity, used: Use, vendor: str) -> bool:
    has, free = capacity.gpus.get(vendor, 0), capacity.gpus.get(vendor, 0) - used.gpus.get(vendor, 0)
    return has > 0 and free >= (has if asked.count is None else asked.count)


def gpus_of(
    asked: GpuDemand | None,
    capacity: Capacity,
    used: Use,
    taken: Mapping[str, str],
    own: Set[str] = frozenset(),
) -> GivenGpus | str:
    """The GPUs that a node that fits gives, or the reason why those that are named are not to be had. ``taken`` has
    the holders of GPUs by their ids, ``own`` are those of the asking one."""
    if asked is None:
        return GivenGpus()
    vendors = [asked.vendor] if asked.vendor else vendors_of(capacity)
    vendor = next(vendor for vendor in vendors if _enough(asked, capacity, used, vendor))
    count = capacity.gpus[vendor] if asked.count is None else asked.count
    known = capacity.gpu_ids.get(vendor, ())
    ids = choose_gpus(asked.ids, count, known, taken, own)
    lost = next((each for each in ids if each in taken), None)
    if lost is not None:
        return f"GPU {lost} is taken by {taken[lost]}"
    return GivenGpus(vendor, count, tuple(ids), tuple(known))


def _score(demand: Demand, candidates: Sequence[Candidate]) -> Callable[[Candidate], tuple[float, ...]]:
    """Lower is better. A suspect node comes behind the others; then the group is spread or packed, then the room."""
    where = demand.where
    in_group = {candidate.id: _in_group(where.group, candidate) for candidate in candidates}
    across = Counter[str]()
    for candidate in candidates:
        across[_value(candidate, where.across)] += in_group[candidate.id]
    for_group = 1 if where.strategy == "spread" else -1
    for_room = -1 if where.strategy == "pack" else 1

    def score(candidate: Candidate) -> tuple[float, ...]:
        group = (across[_value(candidate, where.across)], in_group[candidate.id])
        room = _share_used(demand, candidate)
        return (candidate.status is NodeStatus.SUSPECT, *(for_group * count for count in group), for_room * room)

    return score


def _in_group(group: str, candidate: Candidate) -> int:
    return sum(neighbour.group == group for neighbour in candidate.neighbours) if group else 0


def _value(candidate: Candidate, key: str) -> str:
    return candidate.id if key == NODE_KEY else candidate.labels.get(key, "")


def _share_used(demand: Demand, candidate: Candidate) -> float:
    """The scarcest share of the node's room once the demand has its place there; rounded, so that sums in another order
    decide nothing."""
    used, capacity = candidate.used, candidate.capacity
    shares = [0.0]
    if capacity.cpus:
        shares.append((used.cpus + demand.cpus) / capacity.cpus)
    if capacity.memory_bytes:
        shares.append((used.memory_bytes + demand.memory_bytes) / capacity.memory_bytes)
    return round(max(shares), 6)
