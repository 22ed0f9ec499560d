"""Requests to an instance's workflow, and what it tells the read model: one action at a time, each with an end."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, Field

from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.instance.order import InstanceOutcome
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.lifetime import Strategy

REFUSED = "InstanceRefused"  # the type of the error by which an activity tells a refusal of the control plane


class InstanceAction(StrEnum):
    """An action on an instance. HOLD and RELEASE follow its node's mode, REVERT a revision that did not get ready,
    EXPIRE its end in time, and REPEAT a node that has another order than the control plane."""

    CREATE = "create"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"
    UPDATE = "update"
    ROLLBACK = "rollback"
    REVERT = "revert"
    REMOVE = "remove"
    HOLD = "hold"
    RELEASE = "release"
    EXPIRE = "expire"
    REPEAT = "repeat"

    @property
    def passes(self) -> bool:
        """True for an action that takes the place of the one that goes on."""
        return self in (InstanceAction.KILL, InstanceAction.REMOVE)

    @property
    def makes_revision(self) -> bool:
        """True for an action after which another revision runs."""
        return self in (InstanceAction.UPDATE, InstanceAction.ROLLBACK, InstanceAction.REVERT)


class PowerAction(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"


class Asker(BaseModel):
    """The caller behind a request: its id, and from where it asked; empty for what nobody asked for over REST."""

    id: str = ""
    address: str = ""


class PowerRequest(BaseModel):
    """Somebody wants the instance up, down, or up anew."""

    action: PowerAction
    by: str = ""
    asker: Asker = Asker()
    reason: str = ""


class ChangeRequest(BaseModel):
    """Somebody wants another revision: a new one made of ``spec``, or the older ``revision``. ``auto_revert`` takes the
    one before when it does not get ready; ``starts`` also has it run from now on. ``waits`` answers at the end of the
    action, not at its beginning. ``strategy`` is the way from the revision that runs to this one."""

    spec: InstanceSpec | None = None
    revision: int | None = None
    auto_revert: bool = False
    strategy: Strategy = Strategy.RECREATE
    waits: bool = False
    starts: bool = False
    by: str = ""
    asker: Asker = Asker()
    reason: str = ""
    run_id: str = ""
    step: str = ""


class RemoveRequest(BaseModel):
    volumes: bool = False
    by: str = ""
    asker: Asker = Asker()
    reason: str = ""


class Expiry(BaseModel):
    """The time at which an instance stops by itself; None for one that has none."""

    at: datetime | None = None


class ActionEnd(BaseModel):
    """An action so far: ``state`` is None while it goes on, or when another one took its place. ``is_ready`` is
    True when the revision that was asked for is up."""

    serial: int
    revision: int
    state: InstanceState | None = None
    reason: InstanceReason | None = None
    message: str = ""
    is_ready: bool = False
    reverted: bool = False
    container_id: str = ""
    digest: str = ""
    ports: list[str] = Field(default_factory=list)
    named_ports: dict[str, int] = Field(default_factory=dict, exclude_if=lambda value: not value)


class InstanceLife(BaseModel):
    """Argument of the workflow: all that it has to remember. ``first`` is done at its beginning; ``adopted`` is the
    step whose running container the keeper takes over. ``volumes`` go with it when it is removed, and ``made``
    tells it from an earlier instance of the same id. ``strategy`` is that of the newest change: an order that repeats
    it goes the same way."""

    instance: str
    node: str
    pipeline: str = ""
    serial: int = 0
    revision: int = 1
    desired: Desired = Desired.RUNNING
    held: InstanceReason | None = None
    expires_at: datetime | None = None
    first: InstanceAction | None = None
    by: str = ""
    adopted: StepKey | None = None
    volumes: bool = False
    strategy: Strategy = Strategy.RECREATE
    made: datetime | None = None


class ActionBegin(BaseModel):
    """Argument of ``instances.begin``. ``token`` tells a repeated call from another action. ``made`` is when the
    instance was made, by which it is told from a later one of the same id; None of workflows of before."""

    instance: str
    token: str
    action: InstanceAction
    serial: int
    desired: Desired
    revision: int | None = None
    spec: InstanceSpec | None = None
    strategy: Strategy = Strategy.RECREATE
    by: str = ""
    asker: Asker = Asker()
    reason: str = ""
    run_id: str = ""
    step: str = ""
    made: datetime | None = None


class ActionBegun(BaseModel):
    """``before`` is the revision that was current until now, ``caller`` who asked for this one. ``held`` is the reason
    why it may not run now, ``node_is_there`` False for a node that was removed, and ``agent`` the version of its
    agent."""

    serial: int
    revision: int
    before: int
    spec: InstanceSpec
    held: InstanceReason | None = None
    node_is_there: bool = True
    agent: str = ""
    caller: str = ""


class ActionFinish(BaseModel):
    """Argument of ``instances.finish``. ``failure`` says why there is no outcome; ``keeps_none`` is True where
    that is an agent of a version that keeps no instances. ``made`` is as in ActionBegin."""

    instance: str
    serial: int
    action: InstanceAction
    outcome: InstanceOutcome | None = None
    failure: str = ""
    keeps_none: bool = False
    made: datetime | None = None
