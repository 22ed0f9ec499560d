"""A step of a run: its states, the reasons it may end for, and the messages its activity takes and returns."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.lifetime import Lifetime


class StepState(StrEnum):
    PENDING = "pending"
    WAITING_NODE = "waiting_node"
    PULLING = "pulling"
    STARTING = "starting"
    RUNNING = "running"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERROR = "error"
    CANCELED = "canceled"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset(
    {StepState.SUCCEEDED, StepState.FAILED, StepState.ERROR, StepState.CANCELED, StepState.SKIPPED}
)
_PROGRESS = [StepState.PENDING, StepState.WAITING_NODE, StepState.STARTING, StepState.PULLING, StepState.RUNNING]


class Reason(StrEnum):
    """The reason of an end. A step is skipped for its own ``condition``, for a failure ``upstream``, or by a ``user``
    who had it held. ``output`` says that a declared output is missing, ``rejected`` is an approval's, ``engine`` says
    that the container engine failed to start the container, ``no_room`` that its node never has the room for it,
    ``secret`` that it can't have a secret that it names."""

    EXIT_CODE = "exit_code"
    TIMEOUT = "timeout"
    OOM = "oom"
    PULL_FAILED = "pull_failed"
    UNHEALTHY = "unhealthy"
    ENGINE = "engine"
    AGENT_LOST = "agent_lost"
    POLICY = "policy"
    USER = "user"
    SUPERSEDED = "superseded"
    NODE_DISABLED = "node_disabled"
    INTERNAL = "internal"
    CONDITION = "condition"
    UPSTREAM = "upstream"
    OUTPUT = "output"
    REJECTED = "rejected"
    NO_ROOM = "no_room"
    SECRET = "secret"


ROOM_WAIT = "waits for room on "


class RunStepInput(BaseModel):
    """Argument of the node's step activities. ``timeout`` is in seconds, for one try, the pull included. ``group`` is
    the instances' whose host names the step finds on its node, in place of the network of its run alone. ``caller`` is
    the actor who asked for the run.

    With ``until_started`` a service's delivery ends when its container runs, with that state, and a second one waits
    until it is healthy. An agent that doesn't know the word waits at once.
    """

    key: StepKey
    node: str
    pipeline: str
    container: Container
    timeout: float
    service: bool = False
    lifetime: Lifetime | None = None
    network: bool = False
    group: str | None = None
    outputs: list[str] = Field(default_factory=list)
    until_started: bool = False
    caller: str = ""

    @property
    def outlives_run(self) -> bool:
        return self.lifetime is Lifetime.NODE


class StepResult(BaseModel):
    """The one outcome of one try, as Docker's own state tells it. Times are UTC. ``ports`` are Docker's words;
    ``named_ports`` has the node's number of each port of a service, by its name or else its port in the container."""

    state: StepState
    reason: Reason | None = None
    message: str = ""
    exit_code: int | None = None
    container_id: str = ""
    digest: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    ports: list[str] = Field(default_factory=list)
    named_ports: dict[str, int] = Field(default_factory=dict, exclude_if=lambda value: not value)
    outputs: dict[str, Any] = Field(default_factory=dict)


class StopServiceInput(BaseModel):
    """Argument of the activity that ends a service with its run."""

    key: StepKey
    grace: float


class StepStatus(BaseModel):
    """A step as the workflow knows it and the read model shows it. ``deadline_at`` bounds a wait: for the node, an
    approval, or a held step's user. A matrix has a status of its own and one for each cell, with ``cell_of`` and its
    place; its outputs are lists, a value a cell. ``carried_from`` is the earlier run that a rerun has it from."""

    name: str
    position: int
    type: str
    node: str
    state: StepState = StepState.PENDING
    reason: Reason | None = None
    message: str = ""
    try_: int = Field(default=0, alias="try")
    exit_code: int | None = None
    container_id: str = ""
    digest: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deadline_at: datetime | None = None
    ports: list[str] = Field(default_factory=list)
    named_ports: dict[str, int] = Field(default_factory=dict, exclude_if=lambda value: not value)
    needs: list[str] = Field(default_factory=list)
    finally_: bool = Field(default=False, alias="finally")
    outputs: dict[str, Any] = Field(default_factory=dict)
    cell_of: str | None = None
    cell: int | None = None
    matrix: dict[str, Any] = Field(default_factory=dict)
    carried_from: str | None = None

    model_config = {"populate_by_name": True}


def observed_state(owned: StepState, phase: StepState | None) -> StepState:
    """The state to show: the workflow's, refined by the phase that the agent reports until the step ends."""
    if phase is None or phase not in _PROGRESS or owned not in _PROGRESS or owned is StepState.PENDING:
        return owned
    return phase


def waits_for_room(why: str) -> str:
    """The message of a step whose node has no room for it now."""
    return f"{ROOM_WAIT}{why}"


def ended_well(state: StepState, reason: Reason | None, continue_on_error: bool) -> bool:
    """True when a dependent may go on. A step skipped by its own ``if``, or by a user, counts as well ended."""
    if state is StepState.SUCCEEDED:
        return True
    if state is StepState.SKIPPED:
        return reason in (Reason.CONDITION, Reason.USER)
    return state in (StepState.FAILED, StepState.ERROR) and continue_on_error
