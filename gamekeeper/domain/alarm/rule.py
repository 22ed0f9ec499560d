"""Rules of alarms as data, and how they are checked: a rule that can't be read is refused, with its place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.alarm.condition import MAX_LENGTH, Condition, ConditionError, parse_condition
from gamekeeper.domain.alarm.selection import Selection
from gamekeeper.domain.alarm.severity import Severity
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.problem import Problem, did_you_mean
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.errors import InvalidError, SpecError

MAX_RULES = 500
_TEXT = r"^[^\x00]*$"  # which PostgreSQL takes in no text
RULE_ID = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
OWN_EVENTS = ("alarm", "alarm_rule", "alarm_channel")  # an alarm about alarms would never end
_EXAMPLE: JsonDict = {
    "name": "Node offline",
    "when": "node.status == offline and node.mode != disabled",
    "clear_for": "5s",
    "severity": "critical",
    "on": {"kind": "node", "labels": {"pool": "eu"}},
}


class NoData(StrEnum):
    """The fate of a rule's alarm where nothing is known."""

    KEEP = "keep"  # an alarm that stands is unknown, and none is raised
    RAISE = "raise"  # that nothing is known is the alarm
    CLEAR = "clear"


def _duration(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, Field(max_length=40, examples=["5m"]), AfterValidator(_duration)]


class AlarmRule(BaseModel):
    """A rule over states and metrics has ``when``; one over events has ``events``."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, json_schema_extra={"examples": [_EXAMPLE]})

    name: str = Field(default="", max_length=100, pattern=_TEXT, description="For people; the id by default")
    when: str = Field(default="", max_length=MAX_LENGTH, description="Condition over signals; or give `events`")
    until: str = Field(
        default="", max_length=MAX_LENGTH, description="Condition that ends it; by default `when` is false"
    )
    events: list[str] = Field(default_factory=list, max_length=10, description="Kinds of events that raise it")
    reasons: list[Annotated[str, Field(max_length=40)]] = Field(
        default_factory=list, max_length=10, description="Only events with one of these reasons"
    )
    ends_with: list[str] = Field(default_factory=list, max_length=10, description="Kinds of events that end it")
    close_after: Duration = Field(default="24h", description="Time after the last of its events that closes it")
    for_: Duration = Field(default="0s", alias="for", description="How long it has to hold before it is raised")
    clear_for: Duration = Field(default="0s", description="How long it has to be over before it is cleared")
    severity: Severity = Field(default=Severity.WARNING, description="`critical` wakes somebody up")
    no_data: NoData = Field(default=NoData.KEEP, description="What becomes of it where nothing is known")
    on: Selection = Field(default_factory=Selection, description="Objects that it is about")
    enabled: bool = Field(default=True, description="False switches it off")
    note: str = Field(default="", max_length=1000, pattern=_TEXT, description="What to do; it stands in each message")


@dataclass(frozen=True)
class ReadRule:
    """A rule that was found sound, ready to be judged by."""

    id: str
    name: str
    severity: Severity
    selector: Selector
    no_data: NoData
    raise_after: timedelta
    clear_after: timedelta
    close_after: timedelta
    when: Condition | None = None
    until: Condition | None = None
    events: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    ends_with: frozenset[str] = frozenset()
    note: str = ""

    @property
    def is_of_node_status(self) -> bool:
        """True for a rule whose alarm is the cause of what is not known on the node."""
        return self.when is not None and self.when.names("node.status")

    def covers(self, target: Target) -> bool:
        return self.selector.fits(target, "")


def read_rule(rule_id: str, rule: AlarmRule) -> ReadRule:
    """Raises SpecError with every problem and its place."""
    problems: list[Problem] = []
    if bool(rule.when) == bool(rule.events):
        problems.append(_problem("when", 0, "a rule has either a condition or events", "give when, or events"))
    when, until = (_condition(name, text, problems) for name, text in (("when", rule.when), ("until", rule.until)))
    if rule.until and not rule.when:
        problems.append(_problem("until", 0, "a rule over events ends with events", "give ends_with"))
    if when and until and when.subject != until.subject:
        problems.append(_problem("until", 1, f"when is about a {when.subject}, and this about a {until.subject}"))
    for name in ("events", "ends_with"):
        _check_kinds(name, getattr(rule, name), problems)
    selector = _selector(rule, when, problems)
    if problems or selector is None:
        raise SpecError(problems, "alarm rule")
    return ReadRule(
        id=rule_id,
        name=rule.name or rule_id,
        severity=rule.severity,
        selector=selector,
        no_data=rule.no_data,
        raise_after=parse_duration(rule.for_),
        clear_after=parse_duration(rule.clear_for),
        close_after=parse_duration(rule.close_after),
        when=when,
        until=until,
        events=frozenset(rule.events),
        reasons=frozenset(rule.reasons),
        ends_with=frozenset(rule.ends_with),
        note=rule.note,
    )


def _problem(path: str, column: int, message: str, hint: str = "") -> Problem:
    return Problem(path=path, line=1 if column else 0, column=column, code="alarm_rule", message=message, hint=hint)


def _condition(name: str, text: str, problems: list[Problem]) -> Condition | None:
    if not text:
        return None
    try:
        return parse_condition(text)
    except ConditionError as error:
        problems.append(_problem(name, error.column, str(error)))
        return None


def _check_kinds(name: str, kinds: list[str], problems: list[Problem]) -> None:
    for index, kind in enumerate(kinds):
        if kind not in set(EventKind) or kind.partition(".")[0] in OWN_EVENTS:
            hint = did_you_mean(kind, EventKind) or "docs/events.md lists all kinds"
            problems.append(_problem(f"{name}[{index}]", 0, f'no alarm can be about events "{kind}"', hint))


def _selector(rule: AlarmRule, when: Condition | None, problems: list[Problem]) -> Selector | None:
    try:
        selector = rule.on.selector()
    except InvalidError as error:
        problems.append(_problem("on", 0, error.message, error.hint))
        return None
    subject = when and ("pipeline" if when.subject == "run" else when.subject)
    if subject and selector.kind is not None and selector.kind is not ObjectKind(subject):
        problems.append(_problem("on.kind", 0, f"the rule is about a {subject}, and never about a {selector.kind}"))
    return selector
