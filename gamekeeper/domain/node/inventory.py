"""Inventory: the parts of a node's machine, as its agent found out. Sizes in bytes."""

from __future__ import annotations

from pydantic import BaseModel, Field

from gamekeeper.domain.node.node import NodeFacts


class Gpu(BaseModel):
    """``encoders`` are the codecs that it encodes, where that is known; ``render_node`` is its file in /dev/dri."""

    name: str = ""
    uuid: str = ""
    memory_bytes: int = 0
    driver: str = ""
    vendor: str = ""
    render_node: str = ""
    encoders: list[str] = Field(default_factory=list)


class Disk(BaseModel):
    mount: str = ""
    device: str = ""
    filesystem: str = ""
    total_bytes: int = 0


class NetworkInterface(BaseModel):
    name: str = ""
    addresses: list[str] = Field(default_factory=list)
    speed_mbps: int = 0


class Inventory(BaseModel):
    """``problem`` says what could not be found out, and why."""

    facts: NodeFacts = Field(default_factory=NodeFacts)
    physical_cores: int = 0
    swap_bytes: int = 0
    gpus: list[Gpu] = Field(default_factory=list)
    disks: list[Disk] = Field(default_factory=list)
    networks: list[NetworkInterface] = Field(default_factory=list)
    containerd_version: str = ""
    runc_version: str = ""
    problem: str = ""

    def changed_from(self, older: Inventory) -> list[str]:
        """Names of the fields that differ."""
        mine, theirs = self.model_dump(), older.model_dump()
        facts = [name for name, value in mine.pop("facts").items() if value != theirs["facts"][name]]
        return sorted(facts + [name for name, value in mine.items() if value != theirs[name]])
