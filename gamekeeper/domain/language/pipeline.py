"""The pipeline as users write it: the models that parse it and give the JSON Schema.

The rules between parts (names, needs, expressions) are in ``check.py``; turning a pipeline and its arguments
into something that runs is in ``resolve.py``.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from gamekeeper.domain.language.cron import Overlap, check_cron, check_zone
from gamekeeper.domain.language.declared_input import Args, Envs
from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.step import Step, StepDefaults
from gamekeeper.domain.language.values import NAME, Duration, Pairs, Text, Whole, as_label, kind_of, wrong

MAX_STEPS = 2000
MAX_SCHEDULES = 20


def _one_of(code: str, value: Any, words: tuple[str, ...]) -> Any:
    if value not in words:
        raise wrong(code, f'"{value}"; use {", ".join(words[:-1])} or {words[-1]}')
    return value


OnBusy = Literal["queue", "cancel_old", "reject"]


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
    args: Args = Field(default_factory=dict)
    envs: Envs = Field(default_factory=dict)
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

    @property
    def secrets(self) -> dict[str, str]:
        """The secrets among the envs, by the names of these."""
        return {name: env.secret for name, env in self.envs.items() if env.secret is not None}

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict | Pipeline):
            raise wrong("type", f"a pipeline is a mapping with name and steps, got {kind_of(value)}")
        return value
