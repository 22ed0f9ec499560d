"""Node policy: the things that a node's owner allows containers to do on the machine.

The file lives on the agent's own machine and no message can change it: the agent decides. The node only reports it,
so that submission can refuse early with the same words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.values import Size, has_template
from gamekeeper.domain.node.judgement import NOBODY, Subject, Violation, has_no_value_yet, judge
from gamekeeper.domain.node.patterns import image_matches, matches, parse_ports

__all__ = ["Allowances", "Defaults", "NodePolicy", "Rule", "Subject", "Violation"]

MAX_ENTRIES = 1000


def _new(default: Any, description: str) -> Any:
    """A key that a control plane of the version before does not know: it is not told where it says nothing."""
    factory = (lambda: default.copy()) if isinstance(default, list | dict) else (lambda: default)
    return Field(default_factory=factory, exclude_if=lambda value: value == default, description=description)


def _known(size: str) -> str:
    """A limit that nothing fills in would refuse every container that names one, and give those that don't no size."""
    if has_template(size):
        raise ValueError(f'"{size[:40]}" is a template, and nothing is filled in here')
    return size


PolicySize = Annotated[Size, AfterValidator(_known)]


class Defaults(BaseModel):
    """Limits and confinement of containers that name none. Without one for memory an instance has nine tenths of the
    machine's, so that no single server takes the machine along."""

    model_config = ConfigDict(extra="forbid")

    memory: PolicySize | None = Field(default=None, description="Memory; without one nine tenths of the machine's")
    cpus: float | None = Field(default=None, gt=0, description="CPUs; without one there is no limit")
    pids: int = Field(default=4096, ge=16, description="Processes and threads")
    no_new_privileges: bool = _new(True, "No program gains rights by its file, as sudo does")
    cap_drop: list[str] = _new(
        ["AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP"],
        "Capabilities of Docker's default that a container has to ask for",
    )
    ulimits: dict[str, int] = _new({}, 'Limits of a process, as {"nofile": 65536}')


class Limits(BaseModel):
    """The most that a container may ask for."""

    model_config = ConfigDict(extra="forbid")

    memory: PolicySize | None = Field(default=None, description="Memory")
    cpus: float | None = Field(default=None, gt=0, description="CPUs")
    pids: int | None = Field(default=None, ge=16, description="Processes and threads")
    shm: PolicySize = Field(default="16g", description="`shm_size`")
    tmpfs: PolicySize = Field(default="16g", description="Each file system in memory")


class Allowances(BaseModel):
    """The things that a container may have. In a rule all that is left out adds nothing."""

    model_config = ConfigDict(extra="forbid")

    host_paths: list[str] = Field(
        default_factory=list,
        max_length=MAX_ENTRIES,
        description='Host folders with all below; ":ro" behind one: read-only',
    )
    volumes: list[str] = Field(default_factory=list, description="Volumes of others (external:NAME), as patterns")
    images: list[str] = _new([], 'Images as patterns ("ghcr.io/me/*", "debian:12", "docker.io/**", "me/x@sha256:*")')
    ports: list[str] = _new([], 'Ports of the node ("25565", "8000-8100", "53/udp")')
    privileged: bool = Field(default=False, description="Containers may be privileged")
    root: bool = _new(False, "Processes may be root in their container")
    devices: list[str] = Field(default_factory=list, description='Host devices as patterns ("/dev/dri/*"), or "gpu"')
    capabilities: list[str] = Field(default_factory=list, description="Capabilities beyond Docker's default")
    security_opt: list[str] = Field(default_factory=list, description="Options that weaken the default confinement")
    host_network: bool = Field(default=False, description="Containers may use the machine's own network")
    host_gateway: bool = _new(False, "`extra_hosts` may name the node itself (host-gateway)")
    host_namespaces: list[str] = Field(default_factory=list, description="Of: pid, ipc")
    device_cgroup_rules: list[str] = Field(default_factory=list, description='Rules as patterns ("c 13:* rmw")')
    groups: list[str] = Field(default_factory=list, description="Groups that group_add may name, as patterns")
    runtimes: list[str] = Field(default_factory=list, description="Runtimes besides the Engine's default")
    sysctls: list[str] = Field(default_factory=list, description='Kernel parameters as patterns ("net.core.*")')
    oom_score_adj: int = Field(default=0, description="The lowest; below 0 others are killed first for memory")
    engine_socket: Literal["none", "own"] = _new(
        "none", "A mount of Docker's socket is refused (none), or shows the containers of its own project alone (own)"
    )

    @field_validator("ports", mode="before")
    @classmethod
    def _ports_spelled(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        texts = [str(item) for item in value]
        for text in texts:
            parse_ports(text)
        return texts

    def and_those_of(self, other: Allowances) -> Allowances:
        """Both together."""
        merged: dict[str, Any] = {}
        for name in Allowances.model_fields:
            own, more = getattr(self, name), getattr(other, name)
            if isinstance(own, list):
                merged[name] = [*own, *more]
            else:
                merged[name] = _WIDER.get(name, lambda one, other: one or other)(own, more)
        return Allowances.model_construct(**merged)


_WIDER: dict[str, Callable[[Any, Any], Any]] = {
    "oom_score_adj": min,
    "engine_socket": lambda one, other: other if one == "none" else one,
}


class Rule(BaseModel):
    """More for some containers: those that all of its conditions meet."""

    model_config = ConfigDict(extra="forbid")

    image: str | None = Field(default=None, description="Pattern of the image")
    pipeline: str | None = Field(default=None, description="Pattern of the pipeline")
    instance: str | None = Field(default=None, description="Pattern of the instance's id")
    caller: str | None = _new(None, 'Pattern of who asked for the run or wrote the revision, as "key:admin"')
    allow: Allowances = Field(description="All that these may have besides")

    @model_validator(mode="before")
    @classmethod
    def _no_platform(cls, value: Any) -> Any:
        if isinstance(value, dict) and "platform" in value:
            raise ValueError("no rule can ask for a platform: containers have none; leave it out")
        return value

    @property
    def meets_all(self) -> bool:
        """True for a rule without a condition, as one whose pattern was forgotten behind its key."""
        return self.image is self.pipeline is self.instance is self.caller is None

    def meets(self, container: Container, subject: Subject) -> bool:
        named = (
            (self.pipeline, subject.pipeline),
            (self.instance, subject.instance),
            (self.caller, subject.caller),
        )
        if any(None not in (pattern, text) and not matches(str(text), [str(pattern)]) for pattern, text in named):
            return False
        return self.image is None or image_matches(container.image, [self.image])


class NodePolicy(Allowances):
    """The policy file. Everything beyond the defaults is the owner's explicit decision."""

    version: Literal[1, 2] = _new(2, "Of the file. One without it is read as it always was")
    host_paths: list[str] = Field(
        default_factory=lambda: ["/srv"],
        max_length=MAX_ENTRIES,
        description=Allowances.model_fields["host_paths"].description,
    )
    images: list[str] = _new(["*"], "Images that may be used, as patterns")
    ports: list[str] = _new(["1024-65535"], "Ports of the node that may be published")
    root: bool = _new(True, "Processes may be root in their container")
    host_gateway: bool = _new(True, "`extra_hosts` may name the node itself (host-gateway)")
    rules: list[Rule] = _new([], "More for some images, pipelines, instances or callers")
    limits: Limits = Field(
        default_factory=Limits, exclude_if=lambda value: value == Limits(), description="The most of each"
    )
    defaults: Defaults = Field(
        default_factory=Defaults,
        exclude_if=lambda value: value == Defaults(),
        description="Limits and confinement of containers that name none",
    )

    @property
    def revision(self) -> str:
        """Short, and another one for other rules: by it a node's log and a refusal name the same policy."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]

    def warnings(self) -> list[tuple[tuple[str | int, ...], str]]:
        """The places in the file that are right and yet hardly meant, with words on each."""
        words = "the rule has no condition, so every container may have what it allows"
        hint = "name an image, a pipeline, an instance or a caller, or write it at the top of the file"
        return [(("rules", index), f"{words}; {hint}") for index, rule in enumerate(self.rules) if rule.meets_all]

    def default_limits(self) -> Defaults:
        return self.defaults

    def advice(self, violation: Violation, node_id: str) -> str:
        """The words to whoever was refused, with the policy that they were judged by."""
        if not violation.line:
            return "no policy can allow it: leave it out"
        allow = f"its owner may allow it by the line `{violation.line}` in the policy file on {node_id}"
        return f"{allow} (judged by its policy {self.revision}, as its agent told it last)"

    def allowed(self, container: Container, subject: Subject = NOBODY) -> Allowances:
        """All that this container may have, by the file's own lines and the rules that it meets."""
        found: Allowances = self
        for rule in self.rules:
            if rule.meets(container, subject):
                found = found.and_those_of(rule.allow)
        return found

    def violations(
        self,
        container: Container,
        subject: Subject = NOBODY,
        *,
        on_node: bool = False,
        files_of: Callable[[str], Sequence[str]] | None = None,
    ) -> list[Violation]:
        """The parts of ``container`` that this policy forbids, in words that name the thing.

        ``on_node`` is for the node itself: before, a template has no value yet and can't be judged. ``files_of`` tells
        there which device files a path means, behind links. Links in host folders are no matter here: the node's engine
        follows none.
        """
        found = judge(container, self.allowed(container, subject), self.limits, subject, files_of)
        return [item for item in found if on_node or not has_no_value_yet(item)]
