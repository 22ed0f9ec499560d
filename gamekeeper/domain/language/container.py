"""The container of a step: Compose's words with Compose's meaning, normalised to one spelling each."""

from __future__ import annotations

import ipaddress
import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from gamekeeper.domain.language.device import Device, DeviceReservation, Gpus, read_device, read_rule
from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.named_secret import (
    ContainerEnvironment,
    NamedSecret,
    Pull,
    Secrets,
    check_together,
    taken_out,
)
from gamekeeper.domain.language.project_volume import of_pipeline
from gamekeeper.domain.language.published_port import Port, read_exposed, read_port
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
    listed,
    wrong,
)
from gamekeeper.domain.language.volume import VolumeForm, in_memory, read_volume

RESTART = re.compile(r"no|always|unless-stopped|on-failure(:\d{1,6})?")
CAPABILITY = re.compile(r"(CAP_)?[A-Z_]{3,32}|ALL")
SIGNAL = re.compile(r"(SIG)?[A-Z0-9+-]{2,12}|\d{1,2}")
NETWORK_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
CPUS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
HOST = re.compile(r"(\[?[^:=\[\]]+\]?)[:=](.+)")
RANGES = {"cpu_shares": (2, 262_144), "oom_score_adj": (-1000, 1000)}
NAMESPACE_OF = ("service:", "container:")

# The long forms of entries, by the key of the container; each becomes its short form.
LONG_FORMS: dict[str, type[Model]] = {
    "ports": Port,
    "volumes": VolumeForm,
    "devices": Device,
    "secrets": NamedSecret,
}


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


_LIST = {"anyOf": [{"type": ["string", "number"]}, {"type": "array", "items": {"type": ["string", "number"]}}]}
_HOSTS = {
    "anyOf": [
        {"type": "array", "items": {"type": "string"}},
        {
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        },
    ]
}
_TEXT_OR_LIST = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Words = Annotated[list[str], BeforeValidator(_words), WithJsonSchema(_TEXT_OR_LIST)]
Hosts = Annotated[
    list[Annotated[str, BeforeValidator(lambda value: _host(value))]],
    BeforeValidator(lambda value: _hosts(value)),
    WithJsonSchema(_HOSTS),
]
Capabilities = Annotated[
    list[Annotated[str, BeforeValidator(lambda value: _capability(value))]],
    BeforeValidator(listed),
    WithJsonSchema(_LIST),
]
Ports = Annotated[list[Annotated[str, BeforeValidator(read_port)]], BeforeValidator(listed), WithJsonSchema(_LIST)]
Exposed = Annotated[list[Annotated[str, BeforeValidator(read_exposed)]], BeforeValidator(listed), WithJsonSchema(_LIST)]
Volumes = Annotated[list[Annotated[str, BeforeValidator(read_volume)]], BeforeValidator(listed), WithJsonSchema(_LIST)]
Devices = Annotated[list[Annotated[str, BeforeValidator(read_device)]], BeforeValidator(listed), WithJsonSchema(_LIST)]
Rules = Annotated[list[Annotated[str, BeforeValidator(read_rule)]], BeforeValidator(listed), WithJsonSchema(_LIST)]
Cpus = Annotated[str, BeforeValidator(_cpus), WithJsonSchema({"type": ["string", "number"], "examples": ["1.5"]})]


def _new(default: Any = None) -> Any:
    """A key that older agents don't know, or that may be left out since: it is not told where it says nothing."""
    factory = type(default) if isinstance(default, list | dict) else lambda: default
    return Field(default_factory=factory, exclude_if=lambda value: value == default)


class Healthcheck(Model):
    """The check with which Docker finds out that the container is healthy. What is left out is the image's, or Docker's
    own."""

    test: Annotated[list[str], BeforeValidator(lambda value: _health_test(value)), WithJsonSchema(_TEXT_OR_LIST)] = (
        Field(default_factory=list)
    )
    interval: Duration | None = _new()
    timeout: Duration | None = _new()
    retries: Whole | None = _new()
    start_period: Duration | None = _new()
    disable: Flag = False


def _health_test(value: Any) -> list[str]:
    if not isinstance(value, list):
        text = as_text(value)
        return ["NONE"] if text == "NONE" else ["CMD-SHELL", text]
    words = [as_text(item) for item in value]
    if words and words[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise wrong("healthcheck", f'a test list begins with CMD, CMD-SHELL or NONE, not "{words[0]}"')
    return words


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


def _capability(value: Any) -> str:
    text = as_text(value)
    if has_template(text):
        return text
    if not CAPABILITY.fullmatch(text.upper()):
        raise wrong("capability", f'"{text}" is not a capability; write one as SYS_NICE')
    return text.upper()


def _hosts(value: Any) -> Any:
    """Compose's mapping of a name to an address or several, as its list."""
    if not isinstance(value, dict):
        return listed(value)
    return [f"{name}:{as_text(address)}" for name, given in value.items() for address in listed(given)]


def _host(value: Any) -> str:
    """``NAME:ADDRESS``, as Docker takes it, of that or ``NAME=ADDRESS``; an IPv6 address may stand in brackets."""
    text = as_text(value)
    if has_template(text):
        return text
    match = HOST.fullmatch(text)
    name, address = (match[1], match[2].strip("[]")) if match else (text, "")
    try:
        if address != "host-gateway":
            ipaddress.ip_address(address)
    except ValueError:
        raise wrong("host", f'"{text}" names no address; write NAME:ADDRESS as backend:10.0.0.7') from None
    return f"{name}:{address}"


def _network_mode(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(NAMESPACE_OF):
        message = f'"{value}" is not supported: steps of a run share one network and reach each other by name'
        raise wrong("network_mode", f"{message}; leave network_mode out")
    return value


def _pull_policy(value: Any) -> Any:
    return "missing" if value == "if_not_present" else value


def _ulimit(value: Any) -> Any:
    return value if isinstance(value, dict | Ulimit) else {"soft": value, "hard": value}


class Container(Model):
    """One container, in Compose's words. The agent turns it into Docker's create call, after its node's policy."""

    image: Text
    pull_policy: Annotated[
        Literal["always", "missing", "never"],
        BeforeValidator(_pull_policy),
        WithJsonSchema({"enum": ["always", "missing", "if_not_present", "never"]}),
    ] = "missing"
    pull: Pull | None = _new()
    commands: Texts = Field(default_factory=list)
    command: Words | None = None
    entrypoint: Words | None = None
    environment: ContainerEnvironment = Field(default_factory=dict)
    secrets: Secrets = _new([])
    working_dir: Text | None = None
    user: Text | None = None
    group_add: Texts = _new([])
    hostname: Text | None = None
    domainname: Text | None = _new()
    container_name: Text | None = _new()
    labels: Pairs = Field(default_factory=dict)
    init: Flag = False
    read_only: Flag = False
    stdin_open: Flag = False
    tty: Flag = _new(False)
    privileged: Flag = False
    network_mode: Annotated[Literal["bridge", "none", "host"] | None, BeforeValidator(_network_mode)] = None
    pid: Literal["host"] | None = None
    ipc: Literal["host", "private", "shareable"] | None = None
    runtime: Text | None = _new()
    shm_size: Size | None = None
    ulimits: dict[str, Annotated[Ulimit, BeforeValidator(_ulimit)]] = Field(default_factory=dict)
    sysctls: Pairs = _new({})
    cpuset: Text | None = _new()
    cpu_shares: Whole | None = _new()
    oom_score_adj: Whole | None = _new()
    extra_hosts: Hosts = Field(default_factory=list)
    dns: Texts = Field(default_factory=list)
    dns_search: Texts = _new([])
    dns_opt: Texts = _new([])
    volumes: Volumes = Field(default_factory=list)
    ports: Ports = Field(default_factory=list)
    expose: Exposed = _new([])
    tmpfs: Texts = Field(default_factory=list)
    devices: Devices = Field(default_factory=list)
    device_cgroup_rules: Rules = _new([])
    gpus: Gpus = _new([])
    cap_add: Capabilities = Field(default_factory=list)
    cap_drop: Capabilities = Field(default_factory=list)
    security_opt: Texts = Field(default_factory=list)
    healthcheck: Healthcheck | None = None
    restart: Text = "no"
    stop_signal: Text | None = None
    stop_grace_period: Duration = "10s"
    deploy: Deploy = Field(default_factory=Deploy)

    @model_validator(mode="before")
    @classmethod
    def _secrets_apart(cls, value: Any) -> Any:
        """A variable that is a secret stands among the secrets."""
        return taken_out(value)

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

    @field_validator("container_name")
    @classmethod
    def _name_of_a_host(cls, value: str | None) -> str | None:
        if value is not None and not has_template(value) and not NETWORK_NAME.fullmatch(value):
            raise wrong("name", f'"{value}" is not a name in a network; write letters, digits, "_", "." and "-"')
        return value

    @field_validator("cpuset")
    @classmethod
    def _cpus_listed(cls, value: str | None) -> str | None:
        if value is not None and not has_template(value) and not CPUS.fullmatch(value):
            raise wrong("cpuset", f'"{value}" are no CPUs; write them as "0-3" or "0,2"')
        return value

    @field_validator("cpu_shares", "oom_score_adj")
    @classmethod
    def _within(cls, value: int | str | None, info: ValidationInfo) -> int | str | None:
        low, high = RANGES[info.field_name or ""]
        if isinstance(value, int) and not low <= value <= high:
            raise wrong("range", f"{value}; use {low} to {high}")
        return value

    @field_validator("ulimits", "deploy", mode="before")
    @classmethod
    def _mapping(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, dict | BaseModel):
            raise wrong("type", f"must be a mapping, got {kind_of(value)}")
        return value

    @model_validator(mode="after")
    def _in_memory(self) -> Container:
        """A long form of type tmpfs stands where the short ones do."""
        moved = [entry for entry in map(in_memory, self.volumes) if entry is not None]
        if moved:
            self.volumes = [volume for volume in self.volumes if in_memory(volume) is None]
            self.tmpfs = [*self.tmpfs, *moved]
        return self

    @property
    def device_requests(self) -> list[DeviceReservation]:
        return [*self.deploy.resources.reservations.devices, *self.gpus]

    @property
    def path_of_gpus(self) -> tuple[str, ...]:
        """The key that asks for GPUs, in its document."""
        return ("container", "gpus") if self.gpus else ("container", "deploy", "resources", "reservations", "devices")

    @property
    def secret_names(self) -> list[str]:
        """The secrets that the container gets, each once. That of the pull is not among them."""
        return sorted({item.secret for item in self.secrets})

    @model_validator(mode="after")
    def _secrets_once(self) -> Container:
        check_together(self.secrets, self.environment)
        return self

    @model_validator(mode="after")
    def _one_way_to_run(self) -> Container:
        if self.commands and (self.command is not None or self.entrypoint is not None):
            raise wrong("commands", "use either commands or command")
        return self


def with_own_volumes(container: Container, pipeline: str) -> Container:
    """The container with each named volume as the pipeline's own."""
    volumes = [of_pipeline(volume, pipeline) for volume in container.volumes]
    return container if volumes == container.volumes else container.model_copy(update={"volumes": volumes})
