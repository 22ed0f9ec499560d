"""Containers as each node last reported them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class ContainerRow(SQLModel, table=True):
    __tablename__ = "containers"

    node_id: str = Field(foreign_key="nodes.id", ondelete="CASCADE", primary_key=True, max_length=63)
    id: str = Field(primary_key=True, max_length=64)
    name: str
    image: str
    status: str = Field(max_length=20)
    health: str = Field(default="none", max_length=20)
    run_id: str = Field(default="", index=True, max_length=32)
    step: str = ""
    try_number: int = 0
    pipeline: str = ""
    lifetime: str = Field(default="run", max_length=10)
    exit_code: int | None = None
    restart_count: int = 0
    problem: str = ""
    ports: list[Any] = Field(default_factory=list, sa_type=JSON)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    seen_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
