"""Schedules of an instance: at the times of a cron line it is started, stopped or restarted, or a line is typed into
its console.

A schedule is no part of a revision: it changes nothing of what runs. Its row is what counts, and Temporal is told the
times of it; each time is a firing, which has one outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator, model_validator

from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.cron import check_cron, check_zone
from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.language.values import DNS_LABEL, Duration, Flag, Text, as_text, wrong
from gamekeeper.domain.run.schedule import ScheduleSpec

MAX_SCHEDULES = 20
MAX_COMMAND = 1000
MAX_TEXT = 200
CATCH_UP = "10m"
BY = "schedule:"  # the actor of what a schedule does, before its name


class ScheduledAction(StrEnum):
    """The work of a schedule at its times; `command` types a line into the console."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    COMMAND = "command"


POWER = tuple(action.value for action in ScheduledAction if action is not ScheduledAction.COMMAND)


def _name(value: Any) -> str:
    text = as_text(value)
    if not DNS_LABEL.fullmatch(text):
        raise wrong("name", f'"{text[:80]}" is no name of a schedule; write a-z, 0-9 and "-", up to 63, as nightly')
    return text


def _action(value: Any) -> Any:
    if value is not None and value not in POWER:
        raise wrong("action", f'"{value}"; use start, stop or restart, or write command: LINE instead')
    return value


def _short(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise wrong("too_long", f"has {len(text)} characters; {MAX_TEXT} are the limit")
    return text


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > MAX_COMMAND:
        raise wrong("command", f"is one line for the console, of printable characters, {MAX_COMMAND} at most")
    return text


class ScheduleTimes(Model):
    """One schedule as its user writes it, beside its name."""

    cron: Annotated[Text, AfterValidator(_short), AfterValidator(check_cron)]
    timezone: Annotated[Text, AfterValidator(check_zone)] = "UTC"
    action: Annotated[Literal["start", "stop", "restart"] | None, BeforeValidator(_action)] = None
    command: Annotated[Text, AfterValidator(_line)] | None = None
    catch_up: Annotated[Duration, AfterValidator(_short)] = CATCH_UP
    paused: Flag | None = None
    when: Any = None

    @field_validator("when")
    @classmethod
    def _when_is_no_word_yet(cls, value: Any) -> Any:
        if value is not None:
            message = f'"when: {as_text(value)}" is not supported yet: nobody counts the players of an instance'
            raise wrong("not_supported", message)
        return value

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if (self.action is None) == (self.command is None):
            which = "has both an action and a command" if self.action else "does nothing"
            raise wrong("action", f"{which}; write action: restart (or start, stop), or command: LINE")
        return self

    @property
    def does(self) -> ScheduledAction:
        return ScheduledAction(self.action) if self.action else ScheduledAction.COMMAND


class InstanceScheduleDocument(ScheduleTimes):
    """One schedule in an instance's document."""

    name: Annotated[str, BeforeValidator(_name)]


def _have_names_of_their_own(found: list[InstanceScheduleDocument]) -> list[InstanceScheduleDocument]:
    names = [schedule.name for schedule in found]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise wrong("name", f'two schedules have the name "{twice}"; each needs its own')
    return found


ScheduleDocuments = Annotated[
    list[InstanceScheduleDocument], Field(max_length=MAX_SCHEDULES), AfterValidator(_have_names_of_their_own)
]


class InstanceScheduleTerms(BaseModel):
    """Argument of the workflow of each time, which Temporal holds: whose schedule it is, and its times. What is done is
    read from the row when the time has come. ``by_hand``: a user asked for it now."""

    instance: str
    name: str
    spec: ScheduleSpec
    by_hand: bool = False


def spec_of(cron: str, timezone: str, catch_up: str) -> ScheduleSpec:
    return ScheduleSpec(
        cron=cron, timezone=timezone, overlap="skip", catch_up=max(10.0, parse_duration(catch_up).total_seconds())
    )


class FiringOutcome(StrEnum):
    """The outcome of one firing. BEGUN: its action goes on; DONE or FAILED follow. BUSY: another action had the
    instance's lock. MISSED: it could not be begun in time."""

    BEGUN = "begun"
    DONE = "done"
    SKIPPED = "skipped"
    BUSY = "busy"
    FAILED = "failed"
    MISSED = "missed"


class Firing(BaseModel):
    """Argument of ``instance_schedules.begin``. ``token`` tells a repeated call from another firing, ``at`` is the time
    that has come, and ``number`` rises from firing to firing."""

    instance: str
    name: str
    token: str
    at: datetime
    number: int
    by_hand: bool = False


class ConsoleLine(BaseModel):
    """Argument of the node's activity ``instance.type_in``: a line for the console of an instance.

    ``number`` rises from firing to firing of a schedule, so that no line is typed twice.
    """

    instance: str
    node: str
    schedule: str
    number: int
    text: str


class Fired(BaseModel):
    """A firing so far. ``line`` is still to be typed; without one there is nothing left to do. ``agent`` is the version
    of the node's agent."""

    outcome: FiringOutcome | None = None
    line: ConsoleLine | None = None
    agent: str = ""


class FiringEnd(BaseModel):
    """Argument of ``instance_schedules.end``."""

    instance: str
    name: str
    token: str
    outcome: FiringOutcome
    message: str = ""


@dataclass(frozen=True)
class Circumstances:
    """An instance at the time of a firing. ``node_trouble`` says in words why its node can't do anything."""

    desired: Desired
    state: InstanceState
    held: InstanceReason | None = None
    node_trouble: str = ""
    is_expired: bool = False


_RUNS: Sequence[InstanceState] = (InstanceState.PREPARING, InstanceState.STARTING, InstanceState.READY)
_TAKES_LINES = (InstanceState.STARTING, InstanceState.READY)


def why_not(action: ScheduledAction, now: Circumstances) -> str:
    """The reason to skip the firing, in words; empty for one that is to be done. It starts nothing that somebody
    stopped, unless starting is what it is for."""
    if now.desired is Desired.REMOVED:
        return "the instance is being removed"
    if now.node_trouble:
        return now.node_trouble
    if now.desired is Desired.STOPPED and action is not ScheduledAction.START:
        return "it is stopped already" if action is ScheduledAction.STOP else "somebody stopped the instance"
    if now.held is not None and action is not ScheduledAction.STOP:
        return "its node is disabled"
    if action is ScheduledAction.START and now.is_expired:
        return "the time of the instance ran out"
    if action is ScheduledAction.START and now.desired is Desired.RUNNING and now.state in _RUNS:
        return "it runs already"
    if action is ScheduledAction.COMMAND and now.state not in _TAKES_LINES:
        return f"it is {now.state.value}, and takes no command"
    return ""
