"""Nodes: the operator's settings (``mode``), the observations (``status``), and the agent's reports."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now
from gamekeeper.domain.node.node import NodeMode, NodeStatus


def first_generation() -> int:
    """A node that is removed and made again starts elsewhere: certificates of the removed one stay bad."""
    return secrets.randbelow(2**30)


class NodeRow(SQLModel, table=True):
    """``drain_until`` is the deadline of a drain that goes on."""

    __tablename__ = "nodes"

    id: str = Field(primary_key=True, max_length=63)
    name: str = Field(max_length=200)
    description: str = ""
    location: str = ""
    labels: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    mode: str = Field(default=NodeMode.ACTIVE.value, index=True, max_length=20)
    status: str = Field(default=NodeStatus.NEVER_SEEN.value, index=True, max_length=20)
    hardware: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    system: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    inventory: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    capacity: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    capacity_override: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    conditions: list[Any] = Field(default_factory=list, sa_type=JSON)
    policy: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    agent_version: str = ""
    key_hash: str | None = Field(default=None, index=True, max_length=64)
    generation: int = Field(default_factory=first_generation)
    epoch: int = 0
    version: int = 1
    drain_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_seen_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
