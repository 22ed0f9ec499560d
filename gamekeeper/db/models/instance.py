"""Instances and their revisions.

``desired``, ``revision``, ``serial`` and ``operation`` are the workflow's. The observed columns (``state`` to
``ports``) are what the node's keeper told last, by ``reported_seq``. There is no foreign key to the
node: an instance whose node was removed is unknown, and never silently gone.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now
from gamekeeper.domain.instance.state import Desired, InstanceState


class InstanceRow(SQLModel, table=True):
    """``started_workflow`` is False until Temporal has taken the instance: the row is the outbox of its own start.
    ``operation`` is the power action that goes on (action, by, since), None when none does. ``held`` is the reason why
    an instance that is wished to run stands still. ``owner`` is the id of the user or the key that asked for it, as
    grants name them; ``created_by`` has the name. The row of a deleted instance stays, with its serial."""

    __tablename__ = "instances"

    id: str = Field(primary_key=True, max_length=63)
    name: str = Field(default="", max_length=200)
    labels: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    node_id: str = Field(index=True, max_length=63)
    group: str = Field(default="", max_length=63)
    desired: str = Field(default=Desired.RUNNING.value, max_length=20)
    revision: int = 1
    serial: int = Field(default=0, sa_type=BigInteger)
    operation: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    held: str | None = Field(default=None, max_length=32)
    started_workflow: bool = Field(default=False, index=True)
    state: str = Field(default=InstanceState.CREATING.value, index=True, max_length=20)
    reason: str | None = Field(default=None, max_length=32)
    message: str = ""
    since: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    running_revision: int = 0
    crash_count: int = 0
    exit_code: int | None = None
    container_id: str = ""
    digest: str = ""
    ports: list[Any] = Field(default_factory=list, sa_type=JSON)
    reported_serial: int = Field(default=0, sa_type=BigInteger)
    reported_seq: int = Field(default=0, sa_type=BigInteger)
    pipeline: str = Field(default="", index=True, max_length=63)
    step: str = Field(default="", max_length=70)
    run_id: str = Field(default="", max_length=32)
    created_by: str = Field(default="", max_length=200)
    owner: str = Field(default="", index=True, max_length=80)
    version: int = 1
    idempotency_key: str | None = Field(default=None, unique=True, max_length=200)
    request_hash: str = Field(default="", max_length=64)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, index=True, sa_type=UtcDateTime)


class InstanceRevisionRow(SQLModel, table=True):
    """``spec`` is an InstanceSpec, with its ports given and its volumes named for good. ``created_by`` made the
    revision, and ``caller`` asked for that: of one that a run made, whoever asked for the run."""

    __tablename__ = "instance_revisions"

    instance_id: str = Field(foreign_key="instances.id", ondelete="CASCADE", primary_key=True, max_length=63)
    revision: int = Field(primary_key=True)
    spec: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    run_id: str = Field(default="", index=True, max_length=32)
    created_by: str = Field(default="", max_length=200)
    caller: str = Field(default="", max_length=210)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
