"""A run: its states, its resolved pipeline, and the messages between the API, the workflow and the read model."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from gamekeeper.domain.container import Container
from gamekeeper.domain.node import NodeView
from gamekeeper.domain.pipeline import Lifetime, OnBusy, StepType
from gamekeeper.domain.step import Reason, StepStatus


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        return self in FINAL_RUN_STATES


FINAL_RUN_STATES = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED})


ENGINE = 2  # of a new run; 2 tells changes that come close together at once
SUPERSEDED = "superseded by run "  # how the reason of a cancel begins that a newer run of the group asked for


class ResolvedRetry(BaseModel):
    """Seconds, and what may be retried."""

    attempts: int = 1
    backoff: float = 1.0
    factor: float = 2.0
    max_backoff: float = 60.0
    on: list[str] = Field(default_factory=list)
    exit_codes: list[int] = Field(default_factory=list)


class ResolvedApproval(BaseModel):
    """``expires`` is in seconds; ``message`` may hold templates that read the run's progress."""

    message: str
    allow: list[str] = Field(default_factory=list)
    expires: float


class ResolvedCall(BaseModel):
    """Another stored pipeline that a step runs, pinned to a version when the run is accepted. ``args`` and ``envs`` may
    hold templates that read the run's progress; ``node`` is for the steps of it that name none."""

    name: str
    version: int | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    envs: dict[str, str] = Field(default_factory=dict)
    node: str | None = None


class ResolvedConcurrency(BaseModel):
    """At most ``limit`` runs of ``group`` go on at once."""

    group: str
    limit: int = 1
    on_busy: OnBusy = "queue"


class ResolvedStep(BaseModel):
    """A step with every default filled in. Strings may still hold templates that read the run's progress.

    ``node`` is empty and ``container`` None for an approval and for a ``call`` of another pipeline. ``hold`` is in
    seconds. ``matrix`` holds lists, or expressions that give them. A cell of a matrix is a step too: ``cell_of`` names
    the matrix, ``cell`` its values.
    """

    name: str
    type: StepType
    node: str
    needs: list[str]
    if_: str | None = None
    retry: ResolvedRetry = Field(default_factory=ResolvedRetry)
    continue_on_error: bool = False
    timeout: float
    container: Container | None = None
    lifetime: Lifetime | None = None
    outputs: list[str] = Field(default_factory=list)
    priority: int = 50
    hold: float | None = None
    matrix: dict[str, Any] | None = None
    max_parallel: int | None = None
    fail_fast: bool = True
    approval: ResolvedApproval | None = None
    call: ResolvedCall | None = None
    cell_of: str | None = None
    cell: dict[str, Any] = Field(default_factory=dict)

    @property
    def spec(self) -> Container:
        """The container of a step that runs on a node."""
        if self.container is None:
            raise ValueError(f"step {self.name} has no container")
        return self.container


class ResolvedPipeline(BaseModel):
    """What a run executes. ``timeout`` is in seconds; ``node_wait`` bounds how long a step waits for its node."""

    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    args: dict[str, Any] = Field(default_factory=dict)
    envs: dict[str, str] = Field(default_factory=dict)
    steps: list[ResolvedStep]
    finally_: list[ResolvedStep] = Field(default_factory=list)
    timeout: float | None = None
    node_wait: float = 600.0
    concurrency: ResolvedConcurrency | None = None

    def all_steps(self) -> list[ResolvedStep]:
        return [*self.steps, *self.finally_]

    def nodes(self) -> list[str]:
        return sorted({step.node for step in self.all_steps() if step.node})


class RunInput(BaseModel):
    """Argument of PipelineWorkflow. ``nodes`` is what the API knew of each node when the run was accepted; ``carried``
    are steps that an earlier run has ended, which this one takes as they are; ``callers`` are the pipelines whose
    steps this run is, the outermost first. ``engine`` counts changes of what the workflow does in which order: a run
    goes on as it began, so a new one is said by who starts it, and 1 is what was before there were any."""

    run_id: str
    pipeline: ResolvedPipeline
    nodes: dict[str, NodeView] = Field(default_factory=dict)
    carried: list[StepStatus] = Field(default_factory=list)
    callers: list[str] = Field(default_factory=list)
    engine: int = 1


class RunById(BaseModel):
    """The other argument of PipelineWorkflow: a run that loads the rest itself. What a workflow starts it starts so, or
    each pipeline that it calls would go through its own history, twice. ``engine`` as in RunInput."""

    run_id: str
    engine: int


class AcceptedRun(BaseModel):
    """What is told of a run to the workflow that asked for it and is to start it."""

    run: RunById
    pipeline: str
    nodes: list[str]


class RunCall(BaseModel):
    """A step's call of another pipeline, as a run of its own. ``run_id`` is the new run's: the same call makes one run,
    however often it is made. ``started_by`` is the workflow that begins it; ``callers`` ends with the pipeline that
    calls."""

    run_id: str
    call: ResolvedCall
    parent_run: str
    parent_step: str
    started_by: str
    callers: list[str]
    node_wait: float


class GroupPlace(BaseModel):
    """Where a run stands in its group: ``place`` counts those that wait, itself included; ``running`` hold a slot."""

    granted: bool
    place: int = 0
    running: int = 0


class GroupRequest(BaseModel):
    """Argument of the activities that enter and leave a concurrency group."""

    run_id: str
    concurrency: ResolvedConcurrency


class RunSnapshot(BaseModel):
    """The newest state of a run for the read model; ``version`` only grows, ``steps`` holds what changed."""

    run_id: str
    version: int
    state: RunState
    reason: Reason | None = None
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: list[StepStatus] = Field(default_factory=list)


class RunResult(BaseModel):
    state: RunState
    reason: Reason | None = None
    message: str = ""
