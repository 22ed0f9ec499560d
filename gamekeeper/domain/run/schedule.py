"""Schedules: a stored pipeline that starts by itself, at the times of its own ``schedule``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from gamekeeper.domain.language.cron import Overlap

MAX_BACKFILL = 1000


class ScheduledRun(BaseModel):
    """A run that a schedule starts. ``version`` None means the newest at each time; the workflow of that time fills in
    ``run_id``, ``started_by`` and the ``caller``, who wrote the schedule; ``owner`` is the same by their id."""

    schedule: str
    pipeline: str
    version: int | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    envs: dict[str, str] = Field(default_factory=dict)
    node: str | None = None
    node_wait: float = 600.0
    run_id: str = ""
    started_by: str = ""
    caller: str = ""
    owner: str = ""


class ScheduleSpec(BaseModel):
    """One line of a pipeline's ``schedule``, kept as its user wrote it; ``catch_up`` is in seconds."""

    cron: str
    timezone: str
    overlap: Overlap
    catch_up: float


class ScheduleTerms(BaseModel):
    """The terms of a schedule as its user gave them. They are the argument of each of its workflows and are read again
    from there, because Temporal gives a cron line back as calendars."""

    spec: ScheduleSpec
    runs: ScheduledRun
    created_by: str = ""


class StandingSchedule(ScheduleTerms):
    """A schedule as Temporal knows it; times are UTC, the newest and the next few."""

    id: str
    paused: bool = False
    note: str = ""
    running: int = 0
    missed: int = 0
    last_at: datetime | None = None
    next_at: list[datetime] = Field(default_factory=list)


def schedule_id(pipeline: str, index: int) -> str:
    return f"{pipeline}-{index}"


def pipeline_of_schedule(name: str) -> str:
    """The pipeline that a schedule's id begins with."""
    return name.rpartition("-")[0]
