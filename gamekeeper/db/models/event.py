"""The event log. ``seq`` is the order in which events became visible, without exception: see ``event_log``."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Integer
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class EventRow(SQLModel, table=True):
    __tablename__ = "events"
    __table_args__ = {"sqlite_autoincrement": True}  # a pruned number is never given again

    seq: int | None = Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger().with_variant(Integer, "sqlite"),
    )
    hlc: int = Field(default=0, sa_type=BigInteger)
    at: datetime = Field(default_factory=utc_now, index=True, sa_type=UtcDateTime)
    kind: str = Field(index=True, max_length=60)
    node: str = Field(default="", index=True, max_length=63)
    run: str = Field(default="", index=True, max_length=32)
    step: str = Field(default="", max_length=63)
    container: str = Field(default="", max_length=255)
    instance: str = Field(default="", index=True, max_length=63)
    reason: str = Field(default="", max_length=40)
    message: str = ""
    actor: str = Field(default="", index=True, max_length=210)
    actor_id: str = Field(default="", max_length=40)
    address: str = Field(default="", max_length=64)
    data: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    node_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    clock_offset_ms: float | None = None
