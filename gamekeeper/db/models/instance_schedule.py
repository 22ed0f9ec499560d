"""Schedules of instances. The row is what counts: Temporal is told its times, and told again where it has others.

It comes into being with its instance, or later, and is no part of a revision.
"""

from datetime import datetime

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now
from gamekeeper.domain.instance.schedule import CATCH_UP


class InstanceScheduleRow(SQLModel, table=True):
    """``is_told`` is False until Temporal has it as it is. One that ``is_removed`` stays until Temporal has let go of
    it. ``version`` counts what users change. ``firing`` is the newest time that came, and ``last_at`` to
    ``last_message`` tell of it; ``missed`` is Temporal's own count of the times that it left out, as seen last.
    ``told_until`` is the moment up to which they are told, and ``came`` the times since then that came."""

    __tablename__ = "instance_schedules"

    instance_id: str = Field(foreign_key="instances.id", ondelete="CASCADE", primary_key=True, max_length=63)
    name: str = Field(primary_key=True, max_length=63)
    cron: str = Field(max_length=200)
    timezone: str = Field(max_length=100)
    action: str = Field(max_length=20)
    command: str = ""
    catch_up: str = Field(default=CATCH_UP, max_length=200)
    paused: bool = False
    note: str = Field(default="", max_length=500)
    is_told: bool = Field(default=False, index=True)
    is_removed: bool = False
    version: int = 1
    firing: str = Field(default="", max_length=300)
    last_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_outcome: str = Field(default="", max_length=20)
    last_message: str = ""
    missed: int = 0
    told_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    came: list[str] = Field(default_factory=list, sa_type=JSON)
    created_by: str = Field(default="", max_length=200)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
