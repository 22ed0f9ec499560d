"""Node policy: the things that a node's owner allows containers to do on the machine.

The file lives on the agent's own machine and no message can change it: the agent decides. The node only reports it,
so that submission can refuse early with the same words.
"""

from __future__ import annotations

import fnmatch
import os.path
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.problem import Path
from gamekeeper.domain.language.project_volume import EXTERNAL
from gamekeeper.domain.language.values import has_template
from gamekeeper.domain.language.volume import split_volume

DOCKER_DEFAULT_CAPABILITIES = frozenset(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID"
    " SYS_CHROOT".split()
)
DOCKER_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock")
LABEL_PREFIX = "gamekeeper."
_STRICTER_SECURITY = frozenset({"no-new-privileges", "no-new-privileges=true"})


@dataclass(frozen=True)
class Violation:
    """A part of a container that a policy forbids: ``path`` is its place in the container, ``message`` names it.
    ``line`` is the line of the policy file that would allow it; empty where no policy can."""

    path: Path
    message: str
    line: str = ""

    def __str__(self) -> str:
        return self.message


class NodePolicy(BaseModel):
    """The policy file. Everything beyond the defaults is the owner's explicit decision."""

    model_config = ConfigDict(extra="forbid")

    host_paths: list[str] = Field(default_factory=lambda: ["/srv"], description="Host paths that may be mounted")
    volumes: list[str] = Field(default_factory=list, description="Volumes of others (external:NAME), as patterns")
    privileged: bool = False
    devices: list[str] = Field(default_factory=list, description='Host devices as patterns ("/dev/dri/*"), or "gpu"')
    capabilities: list[str] = Field(default_factory=list, description="Capabilities beyond Docker's default")
    security_opt: list[str] = Field(default_factory=list, description="Options that weaken the default confinement")
    host_network: bool = False
    host_namespaces: list[str] = Field(default_factory=list, description="Of: pid, ipc")
    device_cgroup_rules: list[str] = Field(default_factory=list, description='Rules as patterns ("c 13:* rmw")')
    groups: list[str] = Field(default_factory=list, description="Groups that group_add may name, as patterns")
    runtimes: list[str] = Field(default_factory=list, description="Runtimes besides the Engine's default")
    sysctls: list[str] = Field(default_factory=list, description='Kernel parameters as patterns ("net.core.*")')
    oom_score_adj: int = Field(default=0, description="The lowest; below 0 others are killed first for memory")

    def violations(self, container: Container, *, resolve_links: bool = False) -> list[Violation]:
        """The parts of ``container`` that this policy forbids, in words that name the thing.

        ``resolve_links`` is for the node itself, where a symbolic link may lead out of an allowed path. Before,
        a template has no value yet and can't be judged.
        """
        found = [
            *self._mounts(container, resolve_links),
            *self._devices(container),
            *self._privileges(container),
            *self._kernel(container),
            *self._host_namespaces(container),
            *_reserved_labels(container),
        ]
        return [item for item in found if resolve_links or not has_template(item.message)]

    def _mounts(self, container: Container, resolve_links: bool) -> Iterator[Violation]:
        for index, volume in enumerate(container.volumes):
            try:
                source = split_volume(volume).source
            except ValueError as error:
                yield Violation(("volumes", index), str(error))
                continue
            if volume.startswith(EXTERNAL):
                if not _matches(source, self.volumes):
                    yield _missing(("volumes", index), f"external volume {source}", f"volumes: [{source}]")
            elif source.startswith("/"):
                yield from self._host_path(source, resolve_links, ("volumes", index))

    def _host_path(self, source: str, resolve_links: bool, place: Path) -> Iterator[Violation]:
        paths = {os.path.normpath(source)}
        if resolve_links:
            paths.add(os.path.realpath(source))
        for path in sorted(paths):
            if any(_is_inside(socket, path) for socket in DOCKER_SOCKETS):
                yield Violation(place, f"host path {path} holds the Docker socket, which no step may have")
            elif not any(_is_inside(path, allowed) for allowed in self.host_paths):
                yield _missing(place, f"host path {path}", f"host_paths: [{path}]")

    def _devices(self, container: Container) -> Iterator[Violation]:
        for index, device in enumerate(container.devices):
            path = os.path.normpath(device.split(":")[0])
            if not _matches(path, self.devices):
                yield _missing(("devices", index), f"device {path}", f"devices: [{path}]")
        if container.device_requests and "gpu" not in self.devices:
            place: Path = ("gpus",) if container.gpus else ("deploy", "resources", "reservations", "devices")
            yield _missing(place, 'device "gpu"', "devices: [gpu]")
        for index, rule in enumerate(container.device_cgroup_rules):
            if not any(_covers(allowed, rule) for allowed in self.device_cgroup_rules):
                line = f'device_cgroup_rules: ["{rule}"]'
                yield _missing(("device_cgroup_rules", index), f'device cgroup rule "{rule}"', line)

    def _privileges(self, container: Container) -> Iterator[Violation]:
        if container.privileged and not self.privileged:
            yield _missing(("privileged",), "privileged", "privileged: true")
        allowed = DOCKER_DEFAULT_CAPABILITIES | {name.upper().removeprefix("CAP_") for name in self.capabilities}
        for index, name in enumerate(container.cap_add):
            if (bare := name.removeprefix("CAP_")) not in allowed:
                yield _missing(("cap_add", index), f"capability {name}", f"capabilities: [{bare}]")
        weaker = _STRICTER_SECURITY | {_with_equals(option) for option in self.security_opt}
        for index, option in enumerate(container.security_opt):
            if (spelled := _with_equals(option)) not in weaker:
                yield _missing(("security_opt", index), f"security_opt {option}", f'security_opt: ["{spelled}"]')
        for index, group in enumerate(container.group_add):
            if not _matches(group, self.groups):
                yield _missing(("group_add", index), f"group {group}", f'groups: ["{group}"]')

    def _kernel(self, container: Container) -> Iterator[Violation]:
        if container.runtime and container.runtime not in self.runtimes:
            yield _missing(("runtime",), f"runtime {container.runtime}", f"runtimes: [{container.runtime}]")
        for name in container.sysctls:
            if not _matches(name, self.sysctls):
                yield _missing(("sysctls", name), f"sysctl {name}", f"sysctls: [{name}]")
        score = container.oom_score_adj
        if isinstance(score, int) and score < self.oom_score_adj:
            yield _missing(("oom_score_adj",), f"oom_score_adj {score}", f"oom_score_adj: {score}")

    def _host_namespaces(self, container: Container) -> Iterator[Violation]:
        if container.network_mode == "host" and not self.host_network:
            yield _missing(("network_mode",), "host network", "host_network: true")
        for namespace in ("pid", "ipc"):
            if getattr(container, namespace) == "host" and namespace not in self.host_namespaces:
                yield _missing((namespace,), f"host namespace {namespace}", f"host_namespaces: [{namespace}]")


def _missing(place: Path, what: str, line: str) -> Violation:
    return Violation(place, f"{what} is not in the policy", line)


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def _covers(allowed: str, rule: str) -> bool:
    """True when a rule of the devices cgroup asks for nothing beyond one that is allowed."""
    kind, _, rights = rule.rpartition(" ")
    allowed_kind, _, allowed_rights = " ".join(allowed.split()).rpartition(" ")
    return fnmatch.fnmatchcase(kind, allowed_kind) and set(rights) <= set(allowed_rights)


def _with_equals(option: str) -> str:
    """``seccomp=unconfined`` of ``seccomp:unconfined``, its older spelling."""
    name, mark, value = option.partition("=") if "=" in option else option.partition(":")
    return f"{name}={value}" if mark else name


def _is_inside(path: str, parent: str) -> bool:
    return PurePosixPath(path).is_relative_to(PurePosixPath(parent))


def _reserved_labels(container: Container) -> Iterator[Violation]:
    for name in container.labels:
        if name.startswith(LABEL_PREFIX):
            message = f'label "{name}" is reserved: labels that begin with "{LABEL_PREFIX}" say who owns a container'
            yield Violation(("labels", name), message)
