"""Places of container engines, and of the agent: whoever has one of them has the machine."""

from __future__ import annotations

import fnmatch

_RUNTIME = (
    *(
        "docker.sock",
        "docker",
        "docker.pid",
        "docker-*",
        "containerd",
        "podman",
        "crio",
        "cri-dockerd.sock",
        "buildkit",
    ),
    *("k3s", "libpod", "containers", "runc", "crun", "gamekeeper", "user/*/docker.sock", "user/*/docker"),
    *(
        "user/*/docker.pid",
        "user/*/podman",
        "user/*/containerd",
        "user/*/containers",
        "user/*/buildkit",
        "user/*/libpod",
    ),
)
_DATA = ("docker", "containerd", "containers", "crio", "buildkit", "rancher", "kubelet", "gamekeeper-agent")
ENGINE_FOLDERS = (
    *(f"{run}/{name}" for run in ("/run", "/var/run") for name in _RUNTIME),
    *(f"/var/lib/{name}" for name in _DATA),
    *(
        f"{home}/.local/share/{name}"
        for home in ("/root", "/home/*")
        for name in ("docker", "containers", "containerd")
    ),
)

SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")  # in whose place a container may have one of the agent's


def reached_engine(path: str) -> str:
    """The place of an engine that is at, in or above ``path``; empty where there is none."""
    return next((own for own in ENGINE_FOLDERS if _touch(path, own)), "")


def _touch(path: str, own: str) -> bool:
    """True when one of the two holds the other."""
    parts = [] if path == "/" else path.strip("/").split("/")
    return all(fnmatch.fnmatchcase(*pair) for pair in zip(parts, own.strip("/").split("/"), strict=False))
