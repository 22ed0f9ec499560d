"""The room of a try on its node, and the messages by which a run asks for it and gives it back.

A try that states limits, publishes fixed ports or asks for GPUs starts when its node has them free. One that states
nothing counts with the defaults and starts at once, except on a node whose operator has given numbers of his own.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.given_port import wishes_of
from gamekeeper.domain.node.demand import DEFAULT_CPUS, DEFAULT_MEMORY_BYTES, Demand, GpuDemand, Where, demand_of_step
from gamekeeper.domain.node.gpu_choice import with_given_gpus


class FixedPort(BaseModel):
    """``count`` numbers of the node in a row."""

    name: str
    protocol: str
    number: int
    count: int = 1


class GpuWish(BaseModel):
    """As ``GpuDemand``: a count of None is all that the node has."""

    count: int | None = 1
    vendor: str = ""
    ids: list[str] = Field(default_factory=list, exclude_if=lambda value: not value)


def _is_nothing(value: object) -> bool:
    return not value


class StepRoom(BaseModel):
    """The room that a try asks for. None is what it does not state, of which no word goes through the history."""

    key: StepKey
    node: str
    cpus: float | None = Field(default=None, exclude_if=_is_nothing)
    memory_bytes: int | None = Field(default=None, exclude_if=_is_nothing)
    pids: int = Field(default=0, exclude_if=_is_nothing)
    gpus: GpuWish | None = Field(default=None, exclude_if=_is_nothing)
    ports: list[FixedPort] = Field(default_factory=list, exclude_if=_is_nothing)

    @property
    def states_something(self) -> bool:
        return any((self.cpus, self.memory_bytes, self.pids, self.gpus, self.ports))

    @property
    def demand(self) -> Demand:
        """With the defaults for what it does not state."""
        return Demand(
            cpus=self.cpus or DEFAULT_CPUS,
            memory_bytes=self.memory_bytes or DEFAULT_MEMORY_BYTES,
            pids=self.pids,
            gpus=GpuDemand(self.gpus.count, self.gpus.vendor, tuple(self.gpus.ids)) if self.gpus else None,
        )


class RoomRelease(BaseModel):
    """A try whose container is over, on its node."""

    key: StepKey
    node: str


class RoomRequest(BaseModel):
    """Argument of the activity that promises room. ``released`` is given back first; ``kept`` are services of the run
    that hold theirs until its end, so nothing of the run may wait for that room."""

    asked: list[StepRoom]
    released: list[RoomRelease] = Field(default_factory=list)
    kept: list[StepKey] = Field(default_factory=list)


class RoomAnswer(BaseModel):
    """Of a try that has no room ``why`` tells the reason, and ``never`` that waiting is of no use. ``gpus`` are the ids
    of those that it was given, among ``all_gpus`` of their vendor."""

    why: str = ""
    never: bool = False
    gpu_vendor: str = ""
    gpus: list[str] = Field(default_factory=list)
    all_gpus: list[str] = Field(default_factory=list)

    @property
    def is_granted(self) -> bool:
        return not self.why

    def given_to(self, container: Container) -> Container:
        """The container with its own GPUs."""
        return with_given_gpus(container, self.gpu_vendor, self.gpus, self.all_gpus)


def room_of(key: StepKey, node: str, container: Container) -> StepRoom:
    """Of a container whose templates are filled in. Its free ports are the engine's to give."""
    limits, reserved = container.deploy.resources.limits, container.deploy.resources.reservations
    demand = demand_of_step(container, Where(node=node))
    return StepRoom(
        key=key,
        node=node,
        cpus=demand.cpus if limits.cpus else None,
        memory_bytes=demand.memory_bytes if limits.memory or reserved.memory else None,
        pids=demand.pids,
        gpus=GpuWish(count=demand.gpus.count, vendor=demand.gpus.vendor, ids=list(demand.gpus.ids))
        if demand.gpus
        else None,
        ports=_fixed(container),
    )


def _fixed(container: Container) -> list[FixedPort]:
    if container.network_mode in ("host", "none"):
        return []  # there the engine publishes nothing
    return [
        FixedPort(name=wish.key, protocol=protocol, number=wish.number, count=wish.count)
        for wish in wishes_of(container)
        if wish.number is not None
        for protocol in wish.protocols
    ]
