"""Parts of the engine's answers that a container sees of others of its project: all that is not named here is left out.

Left out are environments, commands, paths of the machine, and what health checks have said: any may hold a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN_LABELS = frozenset({"gamekeeper.folders", "gamekeeper.limited", "gamekeeper.engine_socket"})
ACTIONS = frozenset(
    "create start restart stop kill die oom pause unpause destroy rename health_status".split()
)  # an exec's action holds its command
_STATE = ("Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "ExitCode", "StartedAt", "FinishedAt")
_ENDPOINT = (
    *("Aliases", "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway"),
    *("GlobalIPv6Address", "GlobalIPv6PrefixLen", "MacAddress", "DNSNames"),
)
_ATTRIBUTES = frozenset({"image", "name", "exitCode", "signal", "oldName"})

Json = Mapping[str, Any]


def picked(found: Json, names: Sequence[str]) -> dict[str, Any]:
    return {name: found[name] for name in names if name in found}


def labels_of(found: Json | None) -> dict[str, str]:
    return {name: text for name, text in (found or {}).items() if name not in HIDDEN_LABELS}


def listed(item: Json) -> dict[str, Any]:
    """An entry of ``/containers/json``."""
    networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
    mode = (item.get("HostConfig") or {}).get("NetworkMode", "")
    return picked(item, ("Id", "Names", "Image", "ImageID", "Created", "Ports", "State", "Status")) | {
        "Command": "",
        "Labels": labels_of(item.get("Labels")),
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": _endpoints(networks)},
        "Mounts": [],
    }


def inspected(found: Json) -> dict[str, Any]:
    """The answer of ``/containers/{id}/json``."""
    config, host, settings = (found.get(name) or {} for name in ("Config", "HostConfig", "NetworkSettings"))
    told = picked(found, ("Id", "Created", "Image", "Name", "RestartCount", "Driver", "Platform"))
    return told | {
        "Path": "",
        "Args": [],
        "State": _state(found.get("State") or {}),
        "Mounts": [],
        "HostConfig": picked(host, ("NetworkMode", "PortBindings")),
        "Config": picked(config, ("Hostname", "Domainname", "ExposedPorts", "Tty", "OpenStdin", "Image"))
        | {"Env": [], "Cmd": None, "Labels": labels_of(config.get("Labels"))},
        "NetworkSettings": picked(settings, ("Ports", "Gateway", "IPAddress", "IPPrefixLen", "MacAddress"))
        | {"Networks": _endpoints(settings.get("Networks") or {})},
    }


def _state(found: Json) -> dict[str, Any]:
    health = found.get("Health")
    shown = picked(found, _STATE) | {"Pid": 0, "Error": ""}
    if health:
        shown["Health"] = picked(health, ("Status", "FailingStreak")) | {"Log": []}
    return shown


def _endpoints(networks: Json) -> dict[str, Any]:
    return {name: picked(endpoint or {}, _ENDPOINT) for name, endpoint in networks.items()}


def network(found: Json) -> dict[str, Any]:
    """An entry of ``/networks``. Its containers are told by their own entries."""
    names = ("Name", "Id", "Created", "Scope", "Driver", "EnableIPv6", "IPAM", "Internal", "Attachable", "Ingress")
    return picked(found, names) | {"Containers": {}, "Options": {}, "Labels": labels_of(found.get("Labels"))}


def event(found: Json) -> dict[str, Any] | None:
    """An event of a container; None for one that is not shown."""
    action = str(found.get("Action", ""))
    if found.get("Type") != "container" or action.partition(":")[0] not in ACTIONS:
        return None
    actor = found.get("Actor") or {}
    told = {
        name: text
        for name, text in (actor.get("Attributes") or {}).items()
        if name in _ATTRIBUTES or (name not in HIDDEN_LABELS and not name.startswith("exec"))
    }
    return picked(found, ("status", "id", "from", "Type", "Action", "scope", "time", "timeNano")) | {
        "Actor": {"ID": actor.get("ID", ""), "Attributes": told}
    }


def version(found: Json) -> dict[str, Any]:
    return picked(found, ("Version", "ApiVersion", "MinAPIVersion", "Os", "Arch"))


def info(found: Json, node: str, states: Sequence[str]) -> dict[str, Any]:
    """The machine as far as its containers know it anyway; ``states`` are those of the project's containers."""
    return picked(found, ("ServerVersion", "OSType", "Architecture", "NCPU", "MemTotal")) | {
        "ID": node,
        "Name": node,
        "Containers": len(states),
        "ContainersRunning": states.count("running"),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": sum(state not in ("running", "paused") for state in states),
        "Swarm": {"LocalNodeState": "inactive", "ControlAvailable": False},
    }
