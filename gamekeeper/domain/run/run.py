"""A run: its states, and the messages between the API, the workflow and the read model."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from gamekeeper.domain.language.resolved import ResolvedCall, ResolvedConcurrency, ResolvedPipeline
from gamekeeper.domain.node.node import NodeView
from gamekeeper.domain.run.step import Reason, StepStatus
from gamekeeper.domain.run.step_room import RoomRelease, StepRoom


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


# Of a new run. 2 tells changes that come close together at once; 3 starts steps in portions that fit a workflow task;
# 4 tells with each further try how the one before it ended; 5 hears of the start of a service that others need started;
# 6 ensures an instance for each service that outlives its run; 7 takes room of its node for each try.
BEHAVIOUR = 7


class RunInput(BaseModel):
    """Argument of PipelineWorkflow. ``nodes`` are the nodes as the API knew them when the run was accepted; ``carried``
    are steps that an earlier run has ended, which this one takes as they are; ``callers`` are the pipelines whose
    steps this run is, the outermost first. ``behaviour`` counts changes of the order in which the workflow works: a
    run goes on as it began, so whoever starts a run says with which. 1 is the first. In histories it is ``engine``.
    ``is_indexed`` tells that the namespace has our search attributes, as every one had before. ``caller`` is the actor
    who asked for the run, or for the one that calls it."""

    model_config = {"populate_by_name": True}

    run_id: str
    pipeline: ResolvedPipeline
    nodes: dict[str, NodeView] = Field(default_factory=dict)
    carried: list[StepStatus] = Field(default_factory=list)
    callers: list[str] = Field(default_factory=list)
    behaviour: int = Field(default=1, alias="engine")
    is_indexed: bool = True
    caller: str = ""


class RunById(BaseModel):
    """The other argument of PipelineWorkflow: a run that loads the rest itself. A workflow starts its runs like this,
    or each pipeline that it calls would go through its own history, twice. The other fields are as in RunInput."""

    model_config = {"populate_by_name": True}

    run_id: str
    behaviour: int = Field(alias="engine")
    is_indexed: bool = True


class Supersession(BaseModel):
    """Sent to a run before its cancel, when a newer run of its group has asked for that."""

    by_run: str


class AcceptedRun(BaseModel):
    """Answer to a workflow that asked for a run: everything that it needs to start the run."""

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
    """The place of a run in its group: ``place`` counts those that wait, itself included; ``running`` hold a slot."""

    granted: bool
    place: int = 0
    running: int = 0


class GroupRequest(BaseModel):
    """Argument of the activities that enter and leave a concurrency group."""

    run_id: str
    concurrency: ResolvedConcurrency


class RunSnapshot(BaseModel):
    """The newest state of a run for the read model; ``version`` only grows, ``steps`` holds what changed. ``noted`` are
    tries that started without asking for their room, ``released`` those whose containers are over."""

    run_id: str
    version: int
    state: RunState
    reason: Reason | None = None
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: list[StepStatus] = Field(default_factory=list)
    noted: list[StepRoom] = Field(default_factory=list, exclude_if=lambda value: not value)
    released: list[RoomRelease] = Field(default_factory=list, exclude_if=lambda value: not value)

    def bare(self) -> RunSnapshot:
        """The same without what a step brought in: its states alone, which every database takes."""
        note = "its message and outputs could not be kept"
        lost: dict[str, Any] = {"message": note, "outputs": {}, "ports": [], "named_ports": {}}
        steps = [status.model_copy(update=lost) for status in self.steps]
        message = self.message and "its message could not be kept"
        return self.model_copy(update={"steps": steps, "message": message})


class RunResult(BaseModel):
    state: RunState
    reason: Reason | None = None
    message: str = ""
