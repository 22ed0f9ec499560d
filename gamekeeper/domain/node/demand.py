"""A demand: the room that a container asks for, and the nodes on which it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gamekeeper.domain.access.access import ALL_NODES, Scope
from gamekeeper.domain.access.bounds import NOTHING, Bounds
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.device import CDI, DeviceReservation
from gamekeeper.domain.language.given_port import PortWish, wishes_of
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.language.units import parse_bytes
from gamekeeper.domain.language.values import has_template
from gamekeeper.domain.node.ability import Ability, names_secrets

# Of a container without limits, so that a node does not look empty however many of them it holds (decision 14).
DEFAULT_CPUS = 0.1
DEFAULT_MEMORY_BYTES = 128 * 2**20

Strategy = Literal["spread", "pack", "together"]
NODE_KEY = "node"  # instead of a label: each node by itself


@dataclass(frozen=True)
class GpuDemand:
    """``count`` GPUs of one vendor, of any where it is empty; None is all that a node has. ``ids`` are those that the
    user names."""

    count: int | None = 1
    vendor: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Where:
    """``node`` is the one that is asked for by its id, None for any that has the ``labels``. ``across`` is the label
    over whose values a group is spread or packed; ``together`` keeps the group on one node, because names are found
    there alone, and spreads all else. Beside what has all labels of ``anti_affinity`` nothing is placed.
    ``allowed`` are the nodes that whoever asks may place work on: for them there are no others. ``sight`` are the
    objects that they may be told of."""

    node: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    strategy: Strategy = "spread"
    across: str = NODE_KEY
    anti_affinity: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    allowed: Scope = ALL_NODES
    sight: Bounds = NOTHING


@dataclass(frozen=True)
class Demand:
    cpus: float = DEFAULT_CPUS
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    pids: int = 0
    gpus: GpuDemand | None = None
    ports: tuple[PortWish, ...] = ()
    architecture: str = ""
    abilities: frozenset[Ability] = frozenset()
    where: Where = field(default_factory=Where)

    def at_least(self, cpus: float, memory_bytes: int, pids: int) -> Demand:
        """The larger of both: while a revision replaces another, the room of either is held."""
        return replace(
            self,
            cpus=max(self.cpus, cpus),
            memory_bytes=max(self.memory_bytes, memory_bytes),
            pids=max(self.pids, pids),
        )

    def beside(self, cpus: float, memory_bytes: int, pids: int) -> Demand:
        """The sum of both, for a revision that comes up beside another. Two with GPUs never do."""
        return replace(
            self,
            cpus=self.cpus + cpus,
            memory_bytes=self.memory_bytes + memory_bytes,
            pids=self.pids + pids,
            abilities=self.abilities | {Ability.BLUE_GREEN},
        )


def demand_of(container: Container, where: Where, architecture: str = "") -> Demand:
    """The demand of an instance's container: by its limits, or else by what it reserves."""
    named = {Ability.SECRETS} if names_secrets(container) else set[Ability]()
    ports, abilities = tuple(wishes_of(container)), frozenset({Ability.INSTANCES, *named})
    demand = demand_of_step(container, where)
    return replace(demand, ports=ports, architecture=architecture, abilities=abilities)


def demand_of_step(container: Container, where: Where) -> Demand:
    """The demand without ports, which of steps are the engine's matter. A limit that is a template counts as none."""
    limits, reserved = container.deploy.resources.limits, container.deploy.resources.reservations
    cpus, memory = _known(limits.cpus), _known(limits.memory or reserved.memory)
    return Demand(
        cpus=float(cpus) if cpus else DEFAULT_CPUS,
        memory_bytes=parse_bytes(memory) if memory else DEFAULT_MEMORY_BYTES,
        pids=limits.pids if isinstance(limits.pids, int) else 0,
        gpus=_gpus(container),
        where=where,
    )


def _known(text: str | None) -> str | None:
    return None if has_template(text) else text


def where_of(choice: str | NodeSelector, group: str = "") -> Where:
    """A node as users name it: its id, or labels with ``spread`` or ``pack``."""
    if isinstance(choice, str):
        return Where(node=choice, group=group)
    packs, spreads = _asked(choice.pack), _asked(choice.spread)
    across = (choice.pack if packs else choice.spread) or NODE_KEY
    return Where(
        labels=choice.labels,
        strategy="pack" if packs else "spread" if spreads or not group else "together",
        across=NODE_KEY if across in ("true", "false") else across,
        anti_affinity=choice.anti_affinity,
        group=group,
    )


def _asked(word: str | None) -> bool:
    return word is not None and word != "false"


def _gpus(container: Container) -> GpuDemand | None:
    requests = container.device_requests
    if not requests:
        return None
    counts = [len(item.device_ids) if item.device_ids else item.count for item in requests]
    whole = [count for count in counts if isinstance(count, int)]
    vendors = {vendor for item in requests if (vendor := _vendor(item))}
    ids = tuple(id_ for item in requests for id_ in item.device_ids or ())
    count = sum(whole) if len(whole) == len(counts) else None
    return GpuDemand(count, vendors.pop() if len(vendors) == 1 else "", ids)


def _vendor(request: DeviceReservation) -> str:
    """A CDI name begins with its vendor: ``nvidia.com/gpu=0``."""
    if request.driver != CDI:
        return request.driver or ""
    return request.device_ids[0].partition(".")[0] if request.device_ids else ""
