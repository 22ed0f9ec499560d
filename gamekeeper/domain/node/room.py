"""The room of a node as it is shown: its capacity, the promised part of it, and the free part."""

from __future__ import annotations

from pydantic import BaseModel, Field

from gamekeeper.domain.node.capacity import Capacity
from gamekeeper.domain.node.placement import Use


class Share(BaseModel):
    """One kind of room; ``capacity`` and ``free`` are None where nothing is known, and nothing bounds it then. ``free``
    is negative where an operator has made the node smaller than what is on it."""

    capacity: float | None = Field(description="All of it; null where it is not known, and then nothing bounds it")
    reserved: float = Field(description="The part that is promised")
    free: float | None = Field(description="The rest, for what comes")


class Room(BaseModel):
    """The room of a node for instances, each kind with its promised and its free part."""

    cpus: Share = Field(description="CPUs")
    memory_bytes: Share = Field(description="Memory")
    pids: Share = Field(description="Processes")
    gpus: dict[str, Share] = Field(description="GPUs by vendor")
    port_range: str = Field(description="Ports of which free ones are given")
    ports_reserved: int = Field(description="Ports that are held, of this range and beyond")


def room_of(capacity: Capacity, use: Use, ports: int) -> Room:
    vendors = sorted({*capacity.gpus, *use.gpus})
    return Room(
        cpus=_share(capacity.cpus, round(use.cpus, 3)),
        memory_bytes=_share(capacity.memory_bytes, use.memory_bytes),
        pids=_share(capacity.pids, use.pids),
        gpus={vendor: _share(capacity.gpus.get(vendor, 0), use.gpus.get(vendor, 0)) for vendor in vendors},
        port_range=str(capacity.ports),
        ports_reserved=ports,
    )


def _share(capacity: float | None, reserved: float) -> Share:
    free = None if capacity is None else round(capacity - reserved, 3)
    return Share(capacity=capacity, reserved=reserved, free=free)
