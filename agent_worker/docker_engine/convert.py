"""Converts between our words and the Engine API's: containers to create, and states that are read back."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from agent_worker.docker_engine.mount_config import (
    FOLDERS,
    SOCKET,
    held_mounts,
    holds_any,
    is_engine_socket_mount,
    unheld_path,
)
from agent_worker.engine_socket.project import Project, project_of
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.language.container import Container, Healthcheck
from gamekeeper.domain.language.device import RENDER_NODE, DeviceReservation, is_cdi
from gamekeeper.domain.language.outputs import VARIABLE
from gamekeeper.domain.language.project_volume import EXTERNAL
from gamekeeper.domain.language.published_port import PublishedPort, parse_ports
from gamekeeper.domain.language.units import parse_bytes, parse_duration
from gamekeeper.domain.language.volume import split_volume
from gamekeeper.domain.node.host_folder import HostFolder, engine_sockets, from_label, host_folders, to_label
from gamekeeper.ports.container_engine import (
    ContainerInfo,
    ContainerStatus,
    ContainerUsage,
    Health,
    NewContainer,
    Ownership,
)

LABEL = "gamekeeper."
LIMITED = LABEL + "limited"
WORKSPACE = "/workspace"
OUTPUTS_FOLDER = "/gamekeeper"
OUTPUTS_FILE = "output"
# The log that the agent reads from. Docker 20.10 repeats, skips or breaks off lines of a log that is followed at full
# speed while it begins a new file, so a job's log is one file; a service's is bounded, because it may run for years.
JOB_LOG = {"Type": "local", "Config": {"max-size": "16g", "max-file": "2", "compress": "false"}}
SERVICE_LOG = {"Type": "local", "Config": {"max-size": "256m", "max-file": "4", "compress": "false"}}
# Of each driver whose files the engine begins anew: its own size and number of them, and what a byte may take in one.
_LOG_DRIVERS = {"local": ("20m", "5", 1), "json-file": ("0", "1", 6)}
_LOG_SIZE = re.compile(r"([0-9.]+) ?([kmgt])?i?b?")


def owner_labels(owner: Ownership) -> dict[str, str]:
    common = {LABEL + "node": owner.node, LABEL + "pipeline": owner.pipeline}
    if isinstance(owner.key, InstanceKey):
        return common | {LABEL + "instance": owner.key.instance, LABEL + "revision": str(owner.key.revision)}
    return common | {
        LABEL + "run": owner.key.run_id,
        LABEL + "step": owner.key.step,
        LABEL + "try": str(owner.key.try_),
        LABEL + "kind": owner.kind,
        LABEL + "lifetime": owner.lifetime,
        LABEL + "deadline": f"{owner.deadline:.3f}",
    }


def owner_from_labels(labels: dict[str, str]) -> Ownership | None:
    """The owner, or None for a container that is not ours: whose labels we can't have written."""
    try:
        key = _key_from_labels(labels)
        if not key.is_possible:
            return None
        of_instance = isinstance(key, InstanceKey)
        return Ownership(
            key=key,
            node=labels[LABEL + "node"],
            pipeline=labels.get(LABEL + "pipeline", ""),
            kind=labels.get(LABEL + "kind", "service" if of_instance else "job"),
            lifetime=labels.get(LABEL + "lifetime", "node" if of_instance else "run"),
            deadline=float(labels.get(LABEL + "deadline", "0")),
        )
    except (KeyError, ValueError):
        return None


def _key_from_labels(labels: dict[str, str]) -> ContainerKey:
    if (instance := labels.get(LABEL + "instance")) is not None:
        return InstanceKey(instance=instance, revision=int(labels[LABEL + "revision"]))
    return StepKey(run_id=labels[LABEL + "run"], step=labels[LABEL + "step"], try_=int(labels[LABEL + "try"]))


def create_config(new: NewContainer, held: Sequence[str] = (), socket: str = "") -> dict[str, Any]:
    """The body of the Engine API's ``POST /containers/create``. ``held`` are the paths at which the agent holds the
    container's host folders, ``socket`` is the one in the place of the engine's."""
    spec, owner = new.spec, new.owner
    config: dict[str, Any] = {
        "Image": spec.image,
        "Env": [_variable(key, value) for key, value in (_context(new) | spec.environment).items()],
        "Labels": spec.labels
        | owner_labels(owner)
        | ({LIMITED: "memory"} if spec.deploy.resources.limits.memory else {})
        | ({FOLDERS: to_label(folders)} if (folders := host_folders(spec)) else {})
        | ({SOCKET: "own"} if engine_sockets(spec) else {}),
        "ExposedPorts": {f"{port.container_port}/{port.protocol}": {} for port in _ports_of(spec.ports + spec.expose)},
        "OpenStdin": bool(spec.stdin_open) or isinstance(owner.key, InstanceKey),
        "Tty": bool(spec.tty),
        "Volumes": _anonymous_volumes(new),
        "HostConfig": host_config(new, held, socket),
    }
    optional = {
        "Cmd": spec.command,
        "Entrypoint": spec.entrypoint,
        "WorkingDir": spec.working_dir,
        "User": spec.user,
        "Hostname": spec.hostname,
        "Domainname": spec.domainname,
        "StopSignal": spec.stop_signal,
        "StopTimeout": math.ceil(parse_duration(spec.stop_grace_period).total_seconds()),
        "Healthcheck": _healthcheck(spec.healthcheck) if spec.healthcheck else None,
    }
    config |= {key: value for key, value in optional.items() if value is not None}
    if new.network:
        names = (new.alias, *new.aliases, spec.hostname, spec.container_name)
        aliases = list(dict.fromkeys(name for name in names if name))
        config["NetworkingConfig"] = {"EndpointsConfig": {new.network: {"Aliases": aliases}}}
    return config


def _variable(name: str, value: str | None) -> str:
    """A bare name takes the image's own value away."""
    return name if value is None else f"{name}={value}"


def _anonymous_volumes(new: NewContainer) -> dict[str, Any]:
    outputs = [OUTPUTS_FOLDER] if new.has_outputs else []
    return {target: {} for target in [*outputs, *(text for text in new.spec.volumes if not split_volume(text).source)]}


def _context(new: NewContainer) -> dict[str, str]:
    key, node = new.owner.key, {"GAMEKEEPER_NODE": new.owner.node}
    if isinstance(key, InstanceKey):
        return node | {"GAMEKEEPER_INSTANCE": key.instance, "GAMEKEEPER_REVISION": str(key.revision)}
    outputs = {VARIABLE: f"{OUTPUTS_FOLDER}/{OUTPUTS_FILE}"} if new.has_outputs else {}
    return outputs | node | {"GAMEKEEPER_RUN": key.run_id, "GAMEKEEPER_STEP": key.step, "GAMEKEEPER_TRY": str(key.try_)}


def host_config(new: NewContainer, held: Sequence[str] = (), socket: str = "") -> dict[str, Any]:
    spec, mounts = new.spec, held_mounts(new.spec, held, socket)
    config: dict[str, Any] = {
        "Binds": [
            *(text.removeprefix(EXTERNAL) for text in spec.volumes if split_volume(text).source[:1] not in ("", "/")),
            *([f"{new.workspace}:{WORKSPACE}"] if new.workspace else []),
            *mounts["Binds"],
        ],
        "Mounts": mounts["Mounts"],
        "PortBindings": _port_bindings(spec),
        "Tmpfs": {path: options for path, _, options in (text.partition(":") for text in spec.tmpfs)},
        "Devices": [_device(text) for text in _device_files(spec)],
        "DeviceCgroupRules": spec.device_cgroup_rules,
        "DeviceRequests": _device_requests(spec),
        "GroupAdd": spec.group_add,
        "Sysctls": spec.sysctls,
        "CapAdd": spec.cap_add,
        "CapDrop": spec.cap_drop,
        "SecurityOpt": spec.security_opt,
        "Privileged": bool(spec.privileged),
        "ReadonlyRootfs": bool(spec.read_only),
        "Init": bool(spec.init),
        "ExtraHosts": spec.extra_hosts,
        "Dns": spec.dns,
        "DnsSearch": spec.dns_search,
        "DnsOptions": spec.dns_opt,
        "Ulimits": [{"Name": name, "Soft": item.soft, "Hard": item.hard} for name, item in spec.ulimits.items()],
        "RestartPolicy": _restart(spec.restart),
        "NetworkMode": new.network or spec.network_mode or "bridge",
        "LogConfig": SERVICE_LOG if new.owner.kind == "service" else JOB_LOG,
        "AutoRemove": False,
    }
    optional = {
        "PidMode": spec.pid,
        "IpcMode": spec.ipc,
        "Runtime": spec.runtime,
        "CpusetCpus": spec.cpuset,
        "CpuShares": spec.cpu_shares,
        "OomScoreAdj": spec.oom_score_adj,
        "ShmSize": parse_bytes(spec.shm_size) if spec.shm_size else None,
    }
    return config | {key: value for key, value in optional.items() if value is not None} | _resources(spec)


def _resources(spec: Container) -> dict[str, Any]:
    limits, reservations = spec.deploy.resources.limits, spec.deploy.resources.reservations
    found = {
        "NanoCpus": int(float(limits.cpus) * 1e9) if limits.cpus else None,
        "Memory": parse_bytes(limits.memory) if limits.memory else None,
        "PidsLimit": limits.pids,
        "MemoryReservation": parse_bytes(reservations.memory) if reservations.memory else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _device_requests(spec: Container) -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = []
    for device in spec.device_requests:
        if _render_nodes(device):
            continue  # files of the node, which no driver of Docker's gives
        count = -1 if device.count == "all" or device.count is None else device.count
        requests.append(
            {
                "Driver": device.driver or "",
                "Count": 0 if device.device_ids else count,
                "DeviceIDs": device.device_ids,
                "Capabilities": [device.capabilities],
                "Options": device.options,
            }
        )
    if names := [text for text in spec.devices if is_cdi(text)]:
        requests.append({"Driver": "cdi", "DeviceIDs": names})
    return requests


def _device_files(spec: Container) -> list[str]:
    given = [text for device in spec.device_requests for text in _render_nodes(device)]
    return list(dict.fromkeys([*(text for text in spec.devices if not is_cdi(text)), *given]))


def _render_nodes(request: DeviceReservation) -> list[str]:
    """The GPUs of a request that are given as files in /dev/dri: AMD's and Intel's."""
    ids = request.device_ids or []
    return ids if all(RENDER_NODE.fullmatch(text) for text in ids) else []


def _ports_of(texts: list[str]) -> list[PublishedPort]:
    return [port for text in texts for port in parse_ports(text)]


def _port_bindings(spec: Container) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in _ports_of(spec.ports):
        binding = {"HostIp": port.host_ip.strip("[]"), "HostPort": port.host}
        bindings.setdefault(f"{port.container_port}/{port.protocol}", []).append(binding)
    return bindings


def _device(text: str) -> dict[str, str]:
    host, container, permissions = [*text.split(":"), "", ""][:3]
    return {"PathOnHost": host, "PathInContainer": container or host, "CgroupPermissions": permissions or "rwm"}


def _restart(text: str) -> dict[str, Any]:
    name, _, count = text.partition(":")
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def _healthcheck(check: Healthcheck) -> dict[str, Any]:
    """To the engine an empty test and a zero are what the image says, or its own default."""
    return {
        "Test": ["NONE"] if check.disable is True else check.test,
        "Interval": _nanoseconds(check.interval),
        "Timeout": _nanoseconds(check.timeout),
        "Retries": check.retries or 0,
        "StartPeriod": _nanoseconds(check.start_period),
    }


def _nanoseconds(text: str | None) -> int:
    return int(parse_duration(text).total_seconds() * 1e9) if text else 0


def info_from_inspect(inspected: dict[str, Any]) -> ContainerInfo:
    """Reads the answer of the Engine API's ``GET /containers/{id}/json``."""
    state = inspected["State"]
    health = state.get("Health") or {}
    finished_at = parse_time(state.get("FinishedAt", ""))
    return ContainerInfo(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        image=inspected["Config"]["Image"],
        status=ContainerStatus(state["Status"]),
        owner=owner_from_labels(inspected["Config"].get("Labels") or {}),
        exit_code=state.get("ExitCode"),
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        health=Health(health.get("Status") or "none"),
        created_at=parse_time(inspected.get("Created", "")),
        started_at=parse_time(state.get("StartedAt", "")),
        finished_at=None if state["Status"] in ("running", "paused", "created") else finished_at,
        digest=inspected.get("Image", ""),
        ports=tuple(_ports((inspected.get("NetworkSettings") or {}).get("Ports") or {})),
        health_log=_last_check(health),
        restart_count=inspected.get("RestartCount", 0),
        log_kept_bytes=_log_kept_bytes(inspected["HostConfig"].get("LogConfig") or {}),
        tty=bool(inspected["Config"].get("Tty")),
        stop_signal=inspected["Config"].get("StopSignal") or "SIGTERM",
    )


def _log_kept_bytes(config: dict[str, Any]) -> int:
    """All files but the newest are full. As JSON a byte takes six at the most, and a line more than its text."""
    options = config.get("Config") or {}
    default_size, default_files, factor = _LOG_DRIVERS.get(config.get("Type", ""), ("0", "1", 1))
    size = _LOG_SIZE.fullmatch(options.get("max-size", default_size).strip().lower())
    if size is None or float(size[1]) <= 0:
        return 0
    full = (
        max(0, int(options.get("max-file", default_files)) - 1) * float(size[1]) * 1000 ** " kmgt".index(size[2] or " ")
    )
    return max(1, int(full / factor))


def _last_check(health: dict[str, Any]) -> str:
    """The words of the newest health check, or its exit code."""
    checks = health.get("Log") or []
    if not checks:
        return ""
    return (checks[-1].get("Output") or "").strip()[-300:] or f"exit code {checks[-1].get('ExitCode')}"


@dataclass(frozen=True)
class Made:
    """A container as it was created, which tells all of a clean end but its times.

    ``may_write`` is true of root alone, unless a capability is taken from him. One that ``publishes`` has ports that
    others may wait for. With ``tty`` its output is one stream. ``folders`` are those of the host,
    ``unheld`` is a path of the host that the agent does not hold. ``project`` is of one that has a socket in the place
    of the engine's.
    """

    info: ContainerInfo
    may_write: bool
    publishes: bool
    tty: bool
    folders: tuple[HostFolder, ...] = ()
    unheld: str = ""
    project: Project | None = None

    @property
    def holds(self) -> bool:
        """True for a container for which the agent holds anything."""
        return bool(self.folders) or self.project is not None

    def ended_well(self, started_at: datetime, finished_at: datetime) -> ContainerInfo:
        return replace(
            self.info, status=ContainerStatus.EXITED, exit_code=0, started_at=started_at, finished_at=finished_at
        )


def made_from_inspect(inspected: dict[str, Any]) -> Made:
    """Reads the same answer of a container that was not started yet."""
    host = inspected["HostConfig"]
    user = (inspected["Config"].get("User") or "").partition(":")[0]
    return Made(
        info=info_from_inspect(inspected),
        may_write=user in ("", "0", "root") and not {"ALL", "DAC_OVERRIDE"} & set(host.get("CapDrop") or []),
        publishes=bool(host.get("PortBindings") or host.get("PublishAllPorts")),
        tty=bool(inspected["Config"].get("Tty")),
        folders=tuple(from_label((inspected["Config"].get("Labels") or {}).get(FOLDERS, "")))
        if holds_any(host)
        else (),
        unheld=unheld_path(host),
        project=_project(inspected),
    )


def _project(inspected: dict[str, Any]) -> Project | None:
    host, networks = inspected["HostConfig"], (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    owner = owner_from_labels(inspected["Config"].get("Labels") or {})
    if owner is None or not any(map(is_engine_socket_mount, host.get("Mounts") or [])):
        return None
    return project_of(owner, frozenset([*networks, host.get("NetworkMode", "")]))


def usage_from_stats(item: dict[str, Any], stats: dict[str, Any], oom_events: int) -> ContainerUsage | None:
    """Reads ``GET /containers/{id}/stats``; None for a container that is not ours or has just ended.

    The working set is what can't be dropped: use without file pages that were not touched for long.
    """
    owner = owner_from_labels(item.get("Labels") or {})
    memory = stats.get("memory_stats") or {}
    if owner is None or "usage" not in memory:
        return None
    detail = memory.get("stats") or {}
    inactive = detail.get("inactive_file", detail.get("total_inactive_file", 0))
    networks = (stats.get("networks") or {}).values()
    blocks = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    by_kind = {
        kind: sum(entry["value"] for entry in blocks if entry["op"].lower() == kind) for kind in ("read", "write")
    }
    return ContainerUsage(
        name=item["Names"][0].lstrip("/"),
        key=owner.key,
        cpu_ns=stats["cpu_stats"]["cpu_usage"]["total_usage"],
        memory_working_set_bytes=max(0, memory["usage"] - inactive),
        memory_limit_bytes=memory.get("limit", 0),
        network_receive_bytes=sum(network["rx_bytes"] for network in networks),
        network_send_bytes=sum(network["tx_bytes"] for network in networks),
        block_read_bytes=by_kind["read"],
        block_write_bytes=by_kind["write"],
        pids=(stats.get("pids_stats") or {}).get("current", 0),
        oom_events=oom_events,
    )


def _ports(ports: dict[str, list[dict[str, str]] | None]) -> list[str]:
    return sorted(
        f"{binding['HostIp']}:{binding['HostPort']}->{name}"
        for name, bindings in ports.items()
        for binding in bindings or []
    )


def parse_time(text: str) -> datetime | None:
    """Docker's time with nanoseconds, a network's in the engine's own zone; its zero time (year 1) as None."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)
