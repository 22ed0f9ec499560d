"""The pipeline as users write it: the models that parse it and give the JSON Schema.

The rules between parts (names, needs, expressions) are in ``check.py``; turning a pipeline and its arguments
into something that runs is in ``resolve.py``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, field_validator, model_validator

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.cron import check_cron, check_zone
from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.source import core_value
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.language.values import (
    DNS_LABEL,
    NAME,
    Duration,
    Flag,
    Json,
    Pairs,
    Text,
    Texts,
    Whole,
    as_text,
    kind_of,
    wrong,
)

MAX_STEPS = 2000
MAX_SCHEDULES = 20


class StepType(StrEnum):
    JOB = "job"
    SERVICE = "service"
    APPROVAL = "approval"
    PIPELINE = "pipeline"


FIXED_OUTPUTS = {StepType.APPROVAL: ("by", "comment"), StepType.PIPELINE: ("run",)}  # of steps that declare none


class Lifetime(StrEnum):
    RUN = "run"
    NODE = "node"


class Until(StrEnum):
    """The moment of a needed step that is waited for: its end, or of a service that it is healthy or has started."""

    SUCCEEDED = "succeeded"
    HEALTHY = "healthy"
    STARTED = "started"


class Arg(Model):
    """A typed input of the call."""

    type: Literal["string", "integer", "number", "boolean", "array", "object"] = "string"
    required: Flag | None = None
    default: Any = None
    enum: list[Any] | None = None
    min: Any = None
    max: Any = None
    pattern: Text | None = None
    description: Text | None = None


def _arg(value: Any) -> Any:
    """The short form: a bare default, whose type is the argument's."""
    if isinstance(value, dict | Arg):
        return value
    default = core_value(value)
    types = {bool: "boolean", int: "integer", float: "number", list: "array", str: "string"}
    return {"type": types.get(type(default), "string"), "default": value}


def _args(value: Any) -> Any:
    if isinstance(value, list):
        return {as_text(name): {"type": "string", "required": True} for name in value}
    return value


class Env(Model):
    """A string for every step's environment, given in the call or by default; with ``input`` for templates alone."""

    default: Text | None = None
    required: Flag | None = None
    secret: Text | None = None
    input: Flag | None = None
    description: Text | None = None


def _env(value: Any) -> Any:
    if isinstance(value, dict | Env):
        return value
    return {"default": "" if value is None else as_text(value)}


def _envs(value: Any) -> Any:
    if isinstance(value, list):
        return {as_text(name): {"required": True} for name in value}
    return value


RetryCause = Literal["failure", "timeout", "oom", "pull", "engine", "agent_lost"]


class Retry(Model):
    """Tries of a step, counted by the workflow; the machinery's own retries are not among them."""

    attempts: Whole = 2
    backoff: Duration = "1s"
    factor: Json = 2
    max_backoff: Duration = "1m"
    on: list[RetryCause] = Field(default_factory=lambda: list(get_args(RetryCause)))
    exit_codes: list[Whole] = Field(default_factory=list)

    @field_validator("attempts")
    @classmethod
    def _attempts_positive(cls, value: Any) -> Any:
        if isinstance(value, int) and not 1 <= value <= 100:
            raise wrong("range", f"{value}; use {'1 or more' if value < 1 else '100 or fewer'}")
        return value

    @field_validator("factor")
    @classmethod
    def _factor_sane(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 100:
            shown = value if isinstance(value, int | float) and not isinstance(value, bool) else kind_of(value)
            raise wrong("range", f"{shown} is not a factor from 1 to 100")
        return value


class NodeSelector(Model):
    labels: Pairs = Field(default_factory=dict)
    spread: Text | None = None
    pack: Text | None = None


class Disconnect(Model):
    lost_after: Duration = "2m"
    on_lost: Literal["wait", "retry", "fail"] = "wait"


class Artifacts(Model):
    upload: Texts = Field(default_factory=list)
    download: Texts = Field(default_factory=list)
    keep: Duration | None = None


class Approval(Model):
    message: Text
    allow: Texts = Field(default_factory=list)
    expires: Duration = "24h"


def _on_failure(value: Any) -> str:
    """``hold 15m``: a failed step waits that long for somebody to retry, skip or fail it."""
    word, _, duration = as_text(value).partition(" ")
    if word != "hold" or not duration:
        raise wrong("on_failure", f'"{value}"; write hold and a duration, as in hold 15m')
    try:
        parse_duration(duration)
    except ValueError as error:
        raise wrong("duration", str(error)) from None
    return f"hold {duration}"


OnFailure = Annotated[str, BeforeValidator(_on_failure), WithJsonSchema({"type": "string", "pattern": "^hold "})]


class PipelineCall(Model):
    name: Text
    version: Whole | None = None
    args: dict[str, Json] = Field(default_factory=dict)
    envs: Pairs = Field(default_factory=dict)


NodeChoice = Annotated[
    Annotated[Text, Tag("id")] | Annotated[NodeSelector, Tag("labels")],
    Discriminator(lambda value: "labels" if isinstance(value, dict | NodeSelector) else "id"),
]


def _needs(value: Any) -> dict[str, Until | None]:
    """A name, a list of names, or the long form that says what of each is waited for."""
    if not isinstance(value, dict):
        return {as_text(name): None for name in (value if isinstance(value, list) else [value])}
    return {str(name): _until(str(name), word) for name, word in value.items()}


def _until(name: str, word: Any) -> Until | None:
    if isinstance(word, Until) or word is None:
        return word
    if isinstance(word, dict) and set(word) == {"condition"}:  # Compose's
        asked = as_text(word["condition"]).removeprefix("service_").replace("completed_successfully", "succeeded")
        raise wrong("needs", f"{name} has a condition; write {name}: {asked if asked in list(Until) else 'healthy'}")
    if isinstance(word, dict | list) or word not in list(Until):
        shown = kind_of(word) if isinstance(word, dict | list) else f'"{word}"'
        raise wrong("needs", f"{name} can't wait for {shown}; use healthy or started, or succeeded for a job")
    return Until(word)


_NAMES: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_WAITS: dict[str, Any] = {"type": "object", "additionalProperties": {"enum": [*Until, None]}}
Needs = Annotated[
    dict[str, Until | None],
    BeforeValidator(_needs),
    WithJsonSchema({"anyOf": [{"type": "string"}, _NAMES, _WAITS]}),
]


class StepDefaults(Model):
    """Merged into every step that does not say otherwise."""

    node: NodeChoice | None = None
    retry: Retry | None = None
    timeout: Duration | None = None
    continue_on_error: Flag | None = None
    disconnect: Disconnect | None = None
    priority: Whole | None = None


class Step(Model):
    name: Text
    type: StepType = StepType.JOB
    lifetime: Lifetime | None = None
    node: NodeChoice | None = None
    needs: Needs | None = None
    if_: Text | None = Field(default=None, alias="if")
    matrix: dict[str, Json] | None = None
    max_parallel: Whole | None = None
    fail_fast: Flag | None = None
    retry: Retry | None = None
    continue_on_error: Flag | None = None
    disconnect: Disconnect | None = None
    on_failure: OnFailure | None = None
    timeout: Duration | None = None
    outputs: Texts | None = None
    artifacts: Artifacts | None = None
    priority: Whole | None = None
    approval: Approval | None = None
    pipeline: PipelineCall | None = None
    container: Container | None = None

    @field_validator("name")
    @classmethod
    def _name_is_label(cls, value: str) -> str:
        if not DNS_LABEL.fullmatch(value):
            raise wrong("name", f'"{value}" may use a-z, 0-9 and "-", up to 63; try "{as_label(value)}"')
        return value

    @field_validator("type", mode="before")
    @classmethod
    def _type_known(cls, value: Any) -> Any:
        if value not in list(StepType):
            raise wrong("type", f'"{value}"; use job, service, approval or pipeline')
        return value


def _one_of(code: str, value: Any, words: tuple[str, ...]) -> Any:
    if value not in words:
        raise wrong(code, f'"{value}"; use {", ".join(words[:-1])} or {words[-1]}')
    return value


OnBusy = Literal["queue", "cancel_old", "reject"]
Overlap = Literal["skip", "queue", "allow", "cancel_old"]


class Concurrency(Model):
    group: Text
    limit: Whole = 1
    on_busy: OnBusy = "queue"

    @field_validator("on_busy", mode="before")
    @classmethod
    def _on_busy_known(cls, value: Any) -> Any:
        return _one_of("on_busy", value, get_args(OnBusy))


class ScheduleLine(Model):
    cron: Text
    timezone: Text = "UTC"
    overlap: Overlap = "skip"
    catch_up: Duration = "1h"

    @field_validator("cron")
    @classmethod
    def _cron_is_one(cls, value: str) -> str:
        return check_cron(value)

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        return check_zone(value)

    @field_validator("overlap", mode="before")
    @classmethod
    def _overlap_known(cls, value: Any) -> Any:
        return _one_of("overlap", value, get_args(Overlap))


class Pipeline(Model):
    """A pipeline of the language's version 1. One that names no version is of the time before it."""

    version: Whole | None = None
    name: Text
    description: Text | None = None
    labels: Pairs = Field(default_factory=dict)
    args: Annotated[
        dict[str, Annotated[Arg, BeforeValidator(_arg)]],
        BeforeValidator(_args),
        WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = Field(default_factory=dict)
    envs: Annotated[
        dict[str, Annotated[Env, BeforeValidator(_env)]],
        BeforeValidator(_envs),
        WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = Field(default_factory=dict)
    timeout: Duration | None = None
    concurrency: Concurrency | None = None
    schedule: list[ScheduleLine] | None = Field(default=None, min_length=1, max_length=MAX_SCHEDULES)
    defaults: StepDefaults = Field(default_factory=StepDefaults)
    steps: list[Step] = Field(min_length=1, max_length=MAX_STEPS)
    finally_: list[Step] = Field(default_factory=list, alias="finally", max_length=100)

    @field_validator("version")
    @classmethod
    def _version_one(cls, value: Any) -> Any:
        if value not in (1, None):
            raise wrong("version", f"{value} is not known here; this server reads version 1")
        return value

    @field_validator("name")
    @classmethod
    def _name_fits(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise wrong("name", f'"{value}" may use a-z, 0-9 and "-"; try "{as_label(value)}"')
        return value

    @property
    def is_older(self) -> bool:
        """True without a version: services stay up by default, and envs are for templates alone."""
        return self.version is None

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict | Pipeline):
            raise wrong("type", f"a pipeline is a mapping with name and steps, got {kind_of(value)}")
        return value


def as_label(text: str) -> str:
    """The nearest valid name: lower case, everything else a dash."""
    label = "".join(char if char.isascii() and char.isalnum() else "-" for char in text.lower())
    while "--" in label:
        label = label.replace("--", "-")
    return label.strip("-")[:63] or "my-name"
