"""A step as users write it, and the words that tell its kinds apart."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.lifetime import Lifetime as Lifetime
from gamekeeper.domain.language.lifetime import Strategy as Strategy
from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.node_choice import NodeChoice
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.language.values import (
    DNS_LABEL,
    Duration,
    Flag,
    Json,
    Pairs,
    Text,
    Texts,
    Whole,
    as_label,
    as_text,
    has_template,
    kind_of,
    wrong,
)


class StepType(StrEnum):
    JOB = "job"
    SERVICE = "service"
    APPROVAL = "approval"
    PIPELINE = "pipeline"


FIXED_OUTPUTS = {StepType.APPROVAL: ("by", "comment"), StepType.PIPELINE: ("run",)}  # of steps that declare none
INSTANCE_OUTPUTS = ("instance", "revision")  # of a service that stays up


class Until(StrEnum):
    """The moment of a needed step that is waited for: its end, or of a service that it is healthy or has started."""

    SUCCEEDED = "succeeded"
    HEALTHY = "healthy"
    STARTED = "started"


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
    instance: Text | None = None
    strategy: Strategy | None = None
    auto_revert: Flag | None = None
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

    @field_validator("instance")
    @classmethod
    def _instance_is_label(cls, value: str | None) -> str | None:
        if value is not None and not has_template(value) and not DNS_LABEL.fullmatch(value):
            raise wrong("instance", f'"{value}" may use a-z, 0-9 and "-", up to 63; try "{as_label(value)}"')
        return value

    @field_validator("type", mode="before")
    @classmethod
    def _type_known(cls, value: Any) -> Any:
        if value not in list(StepType):
            raise wrong("type", f'"{value}"; use job, service, approval or pipeline')
        return value

    @field_validator("strategy", mode="before")
    @classmethod
    def _strategy_known(cls, value: Any) -> Any:
        if isinstance(value, dict):  # as elsewhere, where it holds a matrix
            raise wrong("strategy", "is recreate or blue_green; for a matrix write matrix: {bots: [4, 16]} on the step")
        if value is not None and value not in list(Strategy):
            raise wrong("strategy", f'"{as_text(value)}"; use recreate or blue_green')
        return value
