"""Steps of runs, and cells of a matrix, which come as the run goes on.

``state`` is the workflow's. The ``phase`` columns are what the node reported in between, and ``trouble`` is what it
reports of a service after that; neither ever changes the outcome. ``approvers`` has each word of an approval's
``allow``, with the id of the user or the key that it named when the run was accepted.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime
from gamekeeper.domain.run.step import StepState


class StepRow(SQLModel, table=True):
    __tablename__ = "steps"
    __table_args__ = (Index("ix_steps_node_state", "node_id", "state"),)

    run_id: str = Field(foreign_key="runs.id", ondelete="CASCADE", primary_key=True, max_length=32)
    name: str = Field(primary_key=True, max_length=63)
    position: int = 0
    type: str = Field(default="job", max_length=20)
    node_id: str = Field(max_length=63)
    state: str = Field(default=StepState.PENDING.value, index=True, max_length=20)
    reason: str | None = Field(default=None, max_length=32)
    message: str = ""
    try_number: int = 0
    exit_code: int | None = None
    container_id: str = ""
    digest: str = ""
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    deadline_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ports: list[Any] = Field(default_factory=list, sa_type=JSON)
    named_ports: dict[str, int] = Field(default_factory=dict, sa_type=JSON)
    needs: list[Any] = Field(default_factory=list, sa_type=JSON)
    is_finally: bool = False
    outputs: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    cell_of: str | None = Field(default=None, max_length=63)
    cell: int | None = None
    matrix: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    carried_from: str | None = Field(default=None, max_length=32)
    approvers: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    phase: str | None = Field(default=None, max_length=20)
    phase_try: int = 0
    phase_message: str = ""
    phase_container_id: str = ""
    trouble: str = ""
