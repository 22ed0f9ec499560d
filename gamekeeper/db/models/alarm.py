"""Alarms and their history, and the round that they are judged by."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class AlarmRow(SQLModel, table=True):
    """``live_key`` names the rule, the object and the detail while the alarm stands, so that no cause has two; it is
    None in the history. ``changed_at`` is when it came into its state. ``told`` has the channels that heard of it, and
    ``muted`` the words of what keeps it from being told. ``last_at`` and ``count`` are of its events."""

    __tablename__ = "alarms"
    __table_args__ = (Index("ix_alarms_state_raised", "state", "raised_at"),)

    id: str = Field(default_factory=lambda: secrets.token_hex(8), primary_key=True, max_length=16)
    live_key: str | None = Field(default=None, unique=True, max_length=300)
    rule: str = Field(index=True, max_length=63)
    name: str = Field(default="", max_length=100)
    severity: str = Field(max_length=16)
    state: str = Field(max_length=16)
    kind: str = Field(max_length=16)
    object_id: str = Field(default="", index=True, max_length=120)
    detail: str = Field(default="", max_length=63)
    node: str = Field(default="", index=True, max_length=63)
    pipeline: str = Field(default="", index=True, max_length=63)
    run: str = Field(default="", max_length=32)
    labels: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    summary: str = Field(default="", max_length=500)
    note: str = Field(default="", max_length=1000)
    since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=utc_now, index=True, sa_type=UtcDateTime)
    changed_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    raised_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    count: int = 1
    closed_at: datetime | None = Field(default=None, index=True, sa_type=UtcDateTime)
    closed_reason: str = Field(default="", max_length=16)
    closed_by: str = Field(default="", max_length=210)
    parent: str | None = Field(default=None, index=True, max_length=16)
    acknowledged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    acknowledged_by: str = Field(default="", max_length=210)
    acknowledge_note: str = Field(default="", max_length=500)
    muted: str = Field(default="", max_length=200)
    told: list[str] = Field(default_factory=list, sa_type=JSON)


class AlarmRoundRow(SQLModel, table=True):
    """One row: which process judges alarms, until when it has to say so again, and the last event that was looked at.
    It is changed in the transaction of what it led to."""

    __tablename__ = "alarm_rounds"

    id: int = Field(default=1, primary_key=True)
    holder: str = Field(default="", max_length=64)
    until: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    seq: int = Field(default=0, sa_type=BigInteger)
    rounds: int = Field(default=0, sa_type=BigInteger)
    looked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AlarmRuleRow(SQLModel, table=True):
    """A rule of a user, or a default one as a user changed it. ``spec`` is an AlarmRule."""

    __tablename__ = "alarm_rules"

    id: str = Field(primary_key=True, max_length=63)
    spec: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    version: int = 1
    updated_by: str = Field(default="", max_length=210)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
