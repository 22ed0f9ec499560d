"""Channels, and the notifications that go out by them: an outbox and a log of deliveries in one."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, LargeBinary
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class ChannelRow(SQLModel, table=True):
    """``spec`` is a ChannelSpec. ``data`` is its ChannelSecret, sealed by envelope; ``address`` is what may be seen of
    it. ``id`` differs for a channel that was removed and made again, so that nothing sealed before opens."""

    __tablename__ = "channels"

    name: str = Field(primary_key=True, max_length=63)
    id: str = Field(default_factory=lambda: secrets.token_hex(8), max_length=16)
    spec: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    address: str = Field(default="", max_length=300)
    key_id: str = Field(default="", index=True, max_length=200)
    wrapped_key: bytes = Field(default=b"", sa_type=LargeBinary)
    data: bytes = Field(default=b"", sa_type=LargeBinary)
    version: int = 1
    last_sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str = Field(default="", max_length=300)
    updated_by: str = Field(default="", max_length=210)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class NotificationRow(SQLModel, table=True):
    """``id`` goes with the message, the same at each try. A digest gathers until ``not_before``. ``started_workflow``
    is False until Temporal has taken it: the row is written with the change that it tells of, and is the outbox."""

    __tablename__ = "notifications"

    id: str = Field(default_factory=lambda: secrets.token_hex(16), primary_key=True, max_length=32)
    channel: str = Field(index=True, max_length=63)
    kind: str = Field(max_length=16)
    state: str = Field(default="waiting", index=True, max_length=16)
    started_workflow: bool = Field(default=False, index=True)
    content: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    created_at: datetime = Field(default_factory=utc_now, index=True, sa_type=UtcDateTime)
    not_before: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = 0
    log: list[Any] = Field(default_factory=list, sa_type=JSON)
    last_error: str = Field(default="", max_length=300)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
