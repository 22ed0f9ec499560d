"""The container of a step: Compose's words with Compose's meaning, normalised to one spelling each."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from gamekeeper.domain.language.project_volume import EXTERNAL, of_pipeline
from gamekeeper.domain.language.published_port import parse_port
from gamekeeper.domain.language.values import (
    Duration,
    Flag,
    Pairs,
    Size,
    Text,
    Texts,
    Whole,
    as_text,
    has_template,
    kind_of,
    wrong,
)

RESTART = re.compile(r"no|always|unless-stopped|on-failure(:\d{1,6})?")
CAPABILITY = re.compile(r"(CAP_)?[A-Z_]{3,32}|ALL")
SIGNAL = re.compile(r"(SIG)?[A-Z0-9+-]{2,12}|\d{1,2}")


class Model(BaseModel):
    """Base of every model of the language: unknown keys are refused, never ignored."""

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, json_schema_extra={"patternProperties": {"^x-": {}}}
    )

    @model_validator(mode="before")
    @classmethod
    def _without_own_keys(cls, value: Any) -> Any:
        """Keys that begin with ``x-`` are the user's own, as in Compose: anchors stand there."""
        if isinstance(value, dict) and any(str(key).startswith("x-") for key in value):
            return {key: item for key, item in value.items() if not str(key).startswith("x-")}
        return value


def _words(value: Any) -> list[str]:
    """A command as Compose takes it: a list, or one string split as a shell would."""
    if isinstance(value, list):
        return [as_text(item) for item in value]
    try:
        return shlex.split(as_text(value))
    except ValueError as error:
        raise wrong("command", f"can't be split into words: {error}; write it as a list") from None


def _cpus(value: Any) -> str:
    text = as_text(value)
    if has_template(text):
        return text
    try:
        number = float(text)
    except ValueError:
        raise wrong("cpus", f'"{text}" is not a number of CPUs; write one as "1.5"') from None
    if not 0.01 <= number <= 10_000:
        raise wrong("cpus", f"{text} CPUs is outside 0.01 to 10000")
    return text


Words = Annotated[
    list[str],
    BeforeValidator(_words),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Cpus = Annotated[str, BeforeValidator(_cpus), WithJsonSchema({"type": ["string", "number"], "examples": ["1.5"]})]


class Healthcheck(Model):
    """The check with which Docker finds out that the container is healthy."""

    test: Annotated[list[str], BeforeValidator(lambda value: _health_test(value))] = Field(default_factory=list)
    interval: Duration = "30s"
    timeout: Duration = "30s"
    retries: Whole = 3
    start_period: Duration = "0s"
    disable: Flag = False


def _health_test(value: Any) -> list[str]:
    if not isinstance(value, list):
        return ["CMD-SHELL", as_text(value)]
    words = [as_text(item) for item in value]
    if words and words[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise wrong("healthcheck", f'a test list begins with CMD, CMD-SHELL or NONE, not "{words[0]}"')
    return words


class DeviceReservation(Model):
    """Devices by capability; only GPUs through Docker's device requests."""

    capabilities: Texts
    driver: Text | None = None
    count: Whole | Literal["all"] | None = None
    device_ids: Texts | None = None

    @field_validator("count", mode="before")
    @classmethod
    def _count_all(cls, value: Any) -> Any:
        return "all" if value is None or str(value) == "all" else value


class ResourceLimits(Model):
    cpus: Cpus | None = None
    memory: Size | None = None
    pids: Whole | None = None

    @field_validator("pids")
    @classmethod
    def _pids_positive(cls, value: Any) -> Any:
        if isinstance(value, int) and value < 1:
            raise wrong("range", f"{value} is below 1; leave the key out for no limit")
        return value


class ResourceReservations(Model):
    memory: Size | None = None
    devices: list[DeviceReservation] = Field(default_factory=list)


class Resources(Model):
    limits: ResourceLimits = Field(default_factory=ResourceLimits)
    reservations: ResourceReservations = Field(default_factory=ResourceReservations)


class Deploy(Model):
    resources: Resources = Field(default_factory=Resources)


class Ulimit(Model):
    soft: Whole
    hard: Whole


def _ulimit(value: Any) -> Any:
    return value if isinstance(value, dict | Ulimit) else {"soft": value, "hard": value}


class Container(Model):
    """One container, in Compose's words. The agent turns it into Docker's create call, after its node's policy."""

    image: Text
    pull_policy: Literal["always", "missing", "never"] = "missing"
    commands: Texts = Field(default_factory=list)
    command: Words | None = None
    entrypoint: Words | None = None
    environment: Pairs = Field(default_factory=dict)
    working_dir: Text | None = None
    user: Text | None = None
    hostname: Text | None = None
    labels: Pairs = Field(default_factory=dict)
    init: Flag = False
    read_only: Flag = False
    stdin_open: Flag = False
    privileged: Flag = False
    network_mode: Literal["bridge", "none", "host"] | None = None
    pid: Literal["host"] | None = None
    ipc: Literal["host", "private", "shareable"] | None = None
    shm_size: Size | None = None
    ulimits: dict[str, Annotated[Ulimit, BeforeValidator(_ulimit)]] = Field(default_factory=dict)
    extra_hosts: Texts = Field(default_factory=list)
    dns: Texts = Field(default_factory=list)
    volumes: Texts = Field(default_factory=list)
    ports: Texts = Field(default_factory=list)
    tmpfs: Texts = Field(default_factory=list)
    devices: Texts = Field(default_factory=list)
    cap_add: Texts = Field(default_factory=list)
    cap_drop: Texts = Field(default_factory=list)
    security_opt: Texts = Field(default_factory=list)
    healthcheck: Healthcheck | None = None
    restart: Text = "no"
    stop_signal: Text | None = None
    stop_grace_period: Duration = "10s"
    deploy: Deploy = Field(default_factory=Deploy)

    @field_validator("image")
    @classmethod
    def _image_named(cls, value: str) -> str:
        if not value.strip() or (any(char.isspace() for char in value.strip()) and not has_template(value)):
            raise wrong("image", f'"{value}" is not an image name; write one as debian:12')
        return value

    @field_validator("restart")
    @classmethod
    def _restart_known(cls, value: str) -> str:
        if not has_template(value) and not RESTART.fullmatch(value):
            raise wrong("restart", f'"{value}"; use no, always, unless-stopped or on-failure:N')
        return value

    @field_validator("stop_signal")
    @classmethod
    def _signal_known(cls, value: str | None) -> str | None:
        if value and not has_template(value) and not SIGNAL.fullmatch(value):
            raise wrong("signal", f'"{value}" is not a signal; write one as SIGINT')
        return value

    @field_validator("cap_add", "cap_drop")
    @classmethod
    def _capabilities_known(cls, value: list[str]) -> list[str]:
        for name in value:
            if not has_template(name) and not CAPABILITY.fullmatch(name):
                raise wrong("capability", f'"{name}" is not a capability; write one as SYS_NICE')
        return value

    @field_validator("volumes")
    @classmethod
    def _volumes_parse(cls, value: list[str]) -> list[str]:
        for text in value:
            if not has_template(text):
                split_volume(text)
        return value

    @field_validator("ports")
    @classmethod
    def _ports_parse(cls, value: list[str]) -> list[str]:
        for text in value:
            if not has_template(text):
                try:
                    parse_port(text)
                except ValueError as error:
                    raise wrong("port", str(error)) from None
        return value

    @field_validator("ulimits", "deploy", mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, dict | BaseModel):
            raise wrong("type", f"must be a mapping, got {kind_of(value)}")
        return value

    @model_validator(mode="after")
    def _one_way_to_run(self) -> Container:
        if self.commands and (self.command is not None or self.entrypoint is not None):
            raise wrong("commands", "use either commands or command")
        return self


def with_own_volumes(container: Container, pipeline: str) -> Container:
    """The container with each named volume as the pipeline's own."""
    volumes = [of_pipeline(volume, pipeline) for volume in container.volumes]
    return container if volumes == container.volumes else container.model_copy(update={"volumes": volumes})


def split_volume(text: str) -> tuple[str, str, str]:
    """``source:target:mode`` of a bind or a named volume; raises for anything else. The source of a volume of others
    (``external:NAME:/target``) is its name."""
    parts = text.removeprefix(EXTERNAL).split(":")
    source, target, mode = [*parts, "rw"][:3] if len(parts) >= 2 else ("", "", "")
    if len(parts) not in (2, 3) or not source or not target.startswith("/"):
        raise wrong("volume", f'"{text}" is not a volume; write SOURCE:/TARGET or SOURCE:/TARGET:ro')
    if not set(mode.split(",")) <= {"ro", "rw", "z", "Z", "nocopy"}:
        raise wrong("volume", f'"{mode}" is not a mode of a volume; use ro or rw')
    return source, target, mode
