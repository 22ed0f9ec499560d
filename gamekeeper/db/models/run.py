"""Runs. The workflow is the one writer of a run's state, by way of ``version``."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now
from gamekeeper.domain.run.run import RunState


class RunRow(SQLModel, table=True):
    """``source`` and ``call`` are what the caller gave, for a rerun; ``carried`` are the steps that a rerun takes from
    ``rerun_of`` as they ended there. ``started_workflow`` is False until Temporal has taken the run: the row is the
    outbox of its own start, but for a run that the workflow ``started_by`` begins, as a step of its own or on time.
    ``caller`` is the actor who asked for the run, or for the run or schedule that begins it; ``owner`` is the same by
    their id, for the instances that it makes. A run of a
    ``concurrency_group`` begins its steps when it holds a slot of it. ``cancel_reason`` is the text of a
    requested cancel; ``superseded_by`` is the newer run of its group that asked for it, None for a person's cancel."""

    __tablename__ = "runs"
    # All that the metrics ask for stands in one index: the rows hold whole pipelines.
    __table_args__ = (
        Index(
            "ix_runs_outcomes",
            *("pipeline", "schedule", "state", "finished_at", "started_at", "created_at", "pipeline_version", "id"),
        ),
    )

    id: str = Field(primary_key=True, max_length=32)
    pipeline: str = Field(index=True, max_length=63)
    state: str = Field(default=RunState.QUEUED.value, index=True, max_length=20)
    reason: str | None = Field(default=None, max_length=32)
    message: str = ""
    labels: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    args: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    source: str = ""
    call: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    pipeline_version: int | None = None
    rerun_of: str | None = Field(default=None, index=True, max_length=32)
    parent_run: str | None = Field(default=None, index=True, max_length=32)
    parent_step: str | None = Field(default=None, max_length=70)
    started_by: str | None = Field(default=None, max_length=255)
    caller: str = Field(default="", max_length=210)
    owner: str = Field(default="", max_length=80)
    schedule: str | None = Field(default=None, index=True, max_length=80)
    callers: list[str] = Field(default_factory=list, sa_type=JSON)
    concurrency_group: str | None = Field(default=None, index=True, max_length=200)
    holds_slot: bool = False
    carried: list[Any] = Field(default_factory=list, sa_type=JSON)
    resolved: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    version: int = 0
    started_workflow: bool = Field(default=False, index=True)
    cancel_reason: str | None = None
    superseded_by: str | None = Field(default=None, max_length=32)
    idempotency_key: str | None = Field(default=None, unique=True, max_length=200)
    request_hash: str = Field(default="", max_length=64)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
