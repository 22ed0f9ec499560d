"""Writes a container in the Engine API's words, to be created."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from agent_worker.docker_engine.mount_config import FOLDERS, SOCKET, held_mounts
from agent_worker.docker_engine.owner_labels import JUDGED, LIMITED, SECRETS, owner_labels
from agent_worker.docker_engine.secret_config import named_label, secret_mounts, secret_variables
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.language.container import Container, Healthcheck
from gamekeeper.domain.language.device import RENDER_NODE, DeviceReservation, is_cdi
from gamekeeper.domain.language.outputs import VARIABLE
from gamekeeper.domain.language.project_volume import EXTERNAL
from gamekeeper.domain.language.published_port import PublishedPort, parse_ports
from gamekeeper.domain.language.units import parse_bytes, parse_duration
from gamekeeper.domain.language.volume import split_volume
from gamekeeper.domain.node.host_folder import engine_sockets, host_folders, to_label
from gamekeeper.ports.container_engine import NewContainer

WORKSPACE = "/workspace"
OUTPUTS_FOLDER = "/gamekeeper"
OUTPUTS_FILE = "output"
# The log that the agent reads from. Docker 20.10 repeats, skips or breaks off lines of a log that is followed at full
# speed while it begins a new file, so a job's log is one file; a service's is bounded, because it may run for years.
JOB_LOG = {"Type": "local", "Config": {"max-size": "16g", "max-file": "2", "compress": "false"}}
SERVICE_LOG = {"Type": "local", "Config": {"max-size": "256m", "max-file": "4", "compress": "false"}}


def create_config(
    new: NewContainer, held: Sequence[str] = (), socket: str = "", secret_paths: Sequence[str] = ()
) -> dict[str, Any]:
    """The body of the Engine API's ``POST /containers/create``. ``held`` are the paths at which the agent holds the
    container's host folders, ``socket`` is the one in the place of the engine's, ``secret_paths`` are the files of its
    secrets."""
    spec, owner = new.spec, new.owner
    environment = _context(new) | spec.environment | secret_variables(spec.secrets, new.values)
    config: dict[str, Any] = {
        "Image": spec.image,
        "Env": [_variable(key, value) for key, value in environment.items()],
        "Labels": spec.labels
        | owner_labels(owner)
        | {JUDGED: new.judged.to_label() if new.judged else "", SECRETS: str(new.secrets)}
        | ({LIMITED: "memory"} if spec.deploy.resources.limits.memory else {})
        | ({FOLDERS: to_label(folders)} if (folders := host_folders(spec)) else {})
        | ({SOCKET: "own"} if engine_sockets(spec) else {})
        | named_label(spec),
        "ExposedPorts": {f"{port.container_port}/{port.protocol}": {} for port in _ports_of(spec.ports + spec.expose)},
        "OpenStdin": bool(spec.stdin_open) or isinstance(owner.key, InstanceKey),
        "Tty": bool(spec.tty),
        "Volumes": _anonymous_volumes(new),
        "HostConfig": host_config(new, held, socket, secret_paths),
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


def host_config(
    new: NewContainer, held: Sequence[str] = (), socket: str = "", secret_paths: Sequence[str] = ()
) -> dict[str, Any]:
    spec, mounts = new.spec, held_mounts(new.spec, held, socket)
    config: dict[str, Any] = {
        "Binds": [
            *(text.removeprefix(EXTERNAL) for text in spec.volumes if split_volume(text).source[:1] not in ("", "/")),
            *([f"{new.workspace}:{WORKSPACE}"] if new.workspace else []),
            *mounts["Binds"],
        ],
        "Mounts": [*mounts["Mounts"], *secret_mounts(spec.secrets, secret_paths)],
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
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},  # it would ask neither the policy nor for host folders
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
