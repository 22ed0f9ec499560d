"""Silences, each with an end, and maintenance windows, which come again or are opened by Gamekeeper's own work."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class SilenceRow(SQLModel, table=True):
    """``on`` is a Selection. No ``rules`` means all."""

    __tablename__ = "silences"

    id: str = Field(default_factory=lambda: secrets.token_hex(8), primary_key=True, max_length=16)
    on: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    rules: list[str] = Field(default_factory=list, sa_type=JSON)
    reason: str = Field(default="", max_length=500)
    until: datetime = Field(index=True, sa_type=UtcDateTime)
    created_by: str = Field(default="", max_length=210)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class WindowRow(SQLModel, table=True):
    """``cron`` is empty for a window of our own work, which ends at ``until``; ``source`` says of which."""

    __tablename__ = "windows"

    name: str = Field(primary_key=True, max_length=80)
    source: str = Field(default="user", index=True, max_length=16)
    on: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    rules: list[str] = Field(default_factory=list, sa_type=JSON)
    cron: str = Field(default="", max_length=200)
    timezone: str = Field(default="UTC", max_length=100)
    duration: str = Field(default="", max_length=40)
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reason: str = Field(default="", max_length=500)
    version: int = 1
    updated_by: str = Field(default="", max_length=210)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
