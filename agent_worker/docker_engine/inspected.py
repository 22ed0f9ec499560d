"""Reads what the Engine API tells of a container: its state, how it was made, and what it uses."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from agent_worker.docker_engine.mount_config import FOLDERS, holds_any, is_engine_socket_mount, unheld_path
from agent_worker.docker_engine.owner_labels import JUDGED, owner_from_labels, secrets_from_labels
from agent_worker.docker_engine.secret_config import named_by_label
from agent_worker.engine_socket.project import Project, name_of, networks_of, project_of
from gamekeeper.domain.language.named_secret import NamedSecret
from gamekeeper.domain.node.host_folder import HostFolder, from_label
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, ContainerUsage, Health

# Of each driver whose files the engine begins anew: its own size and number of them, and what a byte may take in one.
_LOG_DRIVERS = {"local": ("20m", "5", 1), "json-file": ("0", "1", 6)}
_LOG_SIZE = re.compile(r"([0-9.]+) ?([kmgt])?i?b?")


def info_from_inspect(inspected: dict[str, Any]) -> ContainerInfo:
    """Reads the answer of the Engine API's ``GET /containers/{id}/json``."""
    state, name = inspected["State"], inspected["Name"].lstrip("/")
    labels = inspected["Config"].get("Labels") or {}
    health = state.get("Health") or {}
    finished_at = parse_time(state.get("FinishedAt", ""))
    return ContainerInfo(
        id=inspected["Id"],
        name=name,
        image=inspected["Config"]["Image"],
        status=ContainerStatus(state["Status"]),
        owner=owner_from_labels(labels, name),
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
        judged=labels.get(JUDGED, ""),
        secrets=secrets_from_labels(labels),
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
    """All words of the newest health check, or its exit code."""
    checks = health.get("Log") or []
    if not checks:
        return ""
    return (checks[-1].get("Output") or "").strip() or f"exit code {checks[-1].get('ExitCode')}"


@dataclass(frozen=True)
class Made:
    """A container as it was created, which tells all of a clean end but its times.

    ``may_write`` is true of root alone, unless a capability is taken from him. One that ``publishes`` has ports that
    others may wait for. With ``tty`` its output is one stream. ``folders`` are those of the host,
    ``unheld`` is a path of the host that the agent does not hold. ``project`` is of one that has a socket in the place
    of the engine's. ``secrets`` are the names and places of those that it was given.
    """

    info: ContainerInfo
    may_write: bool
    publishes: bool
    tty: bool
    folders: tuple[HostFolder, ...] = ()
    unheld: str = ""
    project: Project | None = None
    secrets: tuple[NamedSecret, ...] = ()

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
        secrets=named_by_label(inspected["Config"].get("Labels") or {}),
    )


def _project(inspected: dict[str, Any]) -> Project | None:
    name = inspected["Name"].lstrip("/")
    owner = owner_from_labels(inspected["Config"].get("Labels") or {}, name)
    if not any(map(is_engine_socket_mount, inspected["HostConfig"].get("Mounts") or [])):
        return None
    if owner is None or owner.key.container_name != name:
        return None
    return project_of(owner, networks_of(inspected))


def usage_from_stats(item: dict[str, Any], stats: dict[str, Any], oom_events: int) -> ContainerUsage | None:
    """Reads ``GET /containers/{id}/stats``; None for a container that is not ours or has just ended.

    The working set is what can't be dropped: use without file pages that were not touched for long.
    """
    name = name_of(item)
    owner = owner_from_labels(item.get("Labels") or {}, name)
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
        name=name,
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
