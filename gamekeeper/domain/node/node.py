"""A node: the operator's decision (mode), and the observation (status)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

NODE_ID = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"  # a DNS label
MAX_NODE_ID = 63


class NodeMode(StrEnum):
    """The operator's decision. maintenance: no new steps, running ones go on; disabled: running ones stop too."""

    ACTIVE = "active"
    MAINTENANCE = "maintenance"
    DISABLED = "disabled"


class NodeStatus(StrEnum):
    """The status of a node as the node link observes it."""

    NEVER_SEEN = "never_seen"
    ONLINE = "online"
    SUSPECT = "suspect"
    OFFLINE = "offline"

    @property
    def reachable(self) -> bool:
        return self in (NodeStatus.ONLINE, NodeStatus.SUSPECT)


class NodeView(BaseModel):
    """A node as a workflow sees it: enough to decide that a step may start there. ``has_limits`` where its operator has
    said how much room it has: there even a step that states nothing waits for its share."""

    id: str
    mode: NodeMode = NodeMode.ACTIVE
    status: NodeStatus = NodeStatus.NEVER_SEEN
    is_removed: bool = False
    has_limits: bool = Field(default=False, exclude_if=lambda value: not value)

    @classmethod
    def removed(cls, node_id: str) -> NodeView:
        """A node that is none any more: what waits for it, or runs there, ends as on a disabled one."""
        return cls(id=node_id, mode=NodeMode.DISABLED, status=NodeStatus.OFFLINE, is_removed=True)


class NodeFacts(BaseModel):
    """Facts that an agent finds out about its machine. Bytes and counts; free-form where the machine decides."""

    hostname: str = ""
    os: str = ""
    kernel: str = ""
    architecture: str = ""
    cpu_model: str = ""
    cpu_count: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    addresses: list[str] = Field(default_factory=list)
    docker_version: str = ""
    docker_storage_driver: str = ""
    agent_version: str = ""
    abilities: list[str] = Field(default_factory=list)
