"""Node policy: the things that a node's owner allows containers to do on the machine.

The file lives on the agent's own machine and no message can change it: the agent decides. The node only reports it,
so that submission can refuse early with the same words.
"""

from __future__ import annotations

import fnmatch
import os.path
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from gamekeeper.domain.language.container import Container, split_volume
from gamekeeper.domain.language.project_volume import EXTERNAL

DOCKER_DEFAULT_CAPABILITIES = frozenset(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID"
    " SYS_CHROOT".split()
)
DOCKER_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock")
LABEL_PREFIX = "gamekeeper."
_VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
_STRICTER_SECURITY = frozenset({"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"})


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

    def violations(self, container: Container, *, resolve_links: bool = False) -> list[str]:
        """The parts of ``container`` that this policy forbids, in words that name the thing.

        ``resolve_links`` is for the node itself, where a symbolic link may lead out of an allowed path.
        """
        return [
            *self._mounts(container, resolve_links),
            *self._devices(container),
            *self._privileges(container),
            *self._host_namespaces(container),
            *_reserved_labels(container),
        ]

    def _mounts(self, container: Container, resolve_links: bool) -> Iterator[str]:
        for volume in container.volumes:
            source = split_volume(volume)[0]
            if volume.startswith(EXTERNAL):
                if not any(fnmatch.fnmatchcase(source, pattern) for pattern in self.volumes):
                    yield f"external volume {source} is not in the policy"
            elif source.startswith("/"):
                yield from self._host_path(source, resolve_links)
            elif not _VOLUME_NAME.fullmatch(source):
                yield f'volume "{source}" is neither an absolute host path nor a volume name'

    def _host_path(self, source: str, resolve_links: bool) -> Iterator[str]:
        paths = {os.path.normpath(source)}
        if resolve_links:
            paths.add(os.path.realpath(source))
        for path in sorted(paths):
            if any(_is_inside(socket, path) for socket in DOCKER_SOCKETS):
                yield f"host path {path} holds the Docker socket, which no step may have"
            elif not any(_is_inside(path, allowed) for allowed in self.host_paths):
                yield f"host path {path} is not in the policy"

    def _devices(self, container: Container) -> Iterator[str]:
        for device in container.devices:
            path = os.path.normpath(device.split(":")[0])
            if not any(fnmatch.fnmatchcase(path, pattern) for pattern in self.devices):
                yield f"device {path} is not in the policy"
        if container.deploy.resources.reservations.devices and "gpu" not in self.devices:
            yield 'device "gpu" is not in the policy'

    def _privileges(self, container: Container) -> Iterator[str]:
        if container.privileged and not self.privileged:
            yield "privileged is not in the policy"
        allowed = DOCKER_DEFAULT_CAPABILITIES | {name.upper().removeprefix("CAP_") for name in self.capabilities}
        for name in container.cap_add:
            if name.removeprefix("CAP_") not in allowed:
                yield f"capability {name} is not in the policy"
        for option in container.security_opt:
            if option not in _STRICTER_SECURITY and option not in self.security_opt:
                yield f"security_opt {option} is not in the policy"

    def _host_namespaces(self, container: Container) -> Iterator[str]:
        if container.network_mode == "host" and not self.host_network:
            yield "host network is not in the policy"
        for namespace in ("pid", "ipc"):
            if getattr(container, namespace) == "host" and namespace not in self.host_namespaces:
                yield f"host namespace {namespace} is not in the policy"


def _is_inside(path: str, parent: str) -> bool:
    return PurePosixPath(path).is_relative_to(PurePosixPath(parent))


def _reserved_labels(container: Container) -> Iterator[str]:
    for name in container.labels:
        if name.startswith(LABEL_PREFIX):
            yield f'label "{name}" is reserved: labels that begin with "{LABEL_PREFIX}" say who owns a container'
