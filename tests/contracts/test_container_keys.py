"""Each key of a container arrives: what the engine is asked for, and what Docker has made of it."""

from __future__ import annotations

from typing import Any

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.docker_engine.create_config import create_config
from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.node.host_folder import host_folders
from gamekeeper.ports.container_engine import ContainerEngine
from tests.factories import make_new_container, make_owner

MIB = 2**20
# The fields of a container, then what is read at a place of `docker inspect`.
KEYS: list[tuple[dict[str, Any], str, Any]] = [
    ({"command": "sh -c 'a b'"}, "Config.Cmd", ["sh", "-c", "a b"]),
    ({"entrypoint": "sh -c"}, "Config.Entrypoint", ["sh", "-c"]),
    ({"working_dir": "/tmp"}, "Config.WorkingDir", "/tmp"),
    ({"user": "65534:65534"}, "Config.User", "65534:65534"),
    ({"hostname": "arena"}, "Config.Hostname", "arena"),
    ({"domainname": "example.org"}, "Config.Domainname", "example.org"),
    ({"expose": [80, "90-91/udp"]}, "Config.ExposedPorts", {"80/tcp": {}, "90/udp": {}, "91/udp": {}}),
    ({"tty": True}, "Config.Tty", True),
    ({"stdin_open": True}, "Config.OpenStdin", True),
    ({"stop_signal": "SIGINT"}, "Config.StopSignal", "SIGINT"),
    ({"stop_grace_period": "1m30s"}, "Config.StopTimeout", 90),
    ({"volumes": ["/anonymous"]}, "Config.Volumes./anonymous", {}),
    ({"ports": ["2456-2457:2456-2457/udp"]}, "Config.ExposedPorts", {"2456/udp": {}, "2457/udp": {}}),
    (
        {"healthcheck": {"interval": "1s", "start_period": "1m"}},
        "Config.Healthcheck",
        {"Interval": 10**9, "StartPeriod": 60 * 10**9},
    ),
    ({"healthcheck": {"disable": True}}, "Config.Healthcheck.Test", ["NONE"]),
    ({"healthcheck": {"test": "NONE"}}, "Config.Healthcheck.Test", ["NONE"]),
    ({"group_add": ["44", "nobody"]}, "HostConfig.GroupAdd", ["44", "nobody"]),
    ({"init": True}, "HostConfig.Init", True),
    ({"read_only": True}, "HostConfig.ReadonlyRootfs", True),
    ({"privileged": True}, "HostConfig.Privileged", True),
    ({"network_mode": "none"}, "HostConfig.NetworkMode", "none"),
    ({"pid": "host"}, "HostConfig.PidMode", "host"),
    ({"ipc": "shareable"}, "HostConfig.IpcMode", "shareable"),
    ({"runtime": "runc"}, "HostConfig.Runtime", "runc"),
    ({"shm_size": "1.5m"}, "HostConfig.ShmSize", 3 * MIB // 2),
    ({"ulimits": {"nofile": 512}}, "HostConfig.Ulimits", [{"Name": "nofile", "Soft": 512, "Hard": 512}]),
    (
        {"ulimits": {"memlock": {"soft": -1, "hard": -1}}},
        "HostConfig.Ulimits",
        [{"Name": "memlock", "Soft": -1, "Hard": -1}],
    ),
    ({"sysctls": {"net.core.somaxconn": 1024}}, "HostConfig.Sysctls", {"net.core.somaxconn": "1024"}),
    ({"cpuset": "0"}, "HostConfig.CpusetCpus", "0"),
    ({"cpu_shares": 512}, "HostConfig.CpuShares", 512),
    ({"oom_score_adj": 500}, "HostConfig.OomScoreAdj", 500),
    ({"extra_hosts": {"a": "10.0.0.7", "b": "::1"}}, "HostConfig.ExtraHosts", ["a:10.0.0.7", "b:::1"]),
    ({"dns": "1.1.1.1"}, "HostConfig.Dns", ["1.1.1.1"]),
    ({"dns_search": ["a.example", "b.example"]}, "HostConfig.DnsSearch", ["a.example", "b.example"]),
    ({"dns_opt": ["ndots:1"]}, "HostConfig.DnsOptions", ["ndots:1"]),
    ({"volumes": ["/srv:/a:ro,rslave"]}, "HostConfig.Mounts.0.BindOptions", {"Propagation": "rslave"}),
    ({"volumes": ["/srv:/a:ro"]}, "HostConfig.Mounts.0.ReadOnly", True),
    (
        {"volumes": [{"type": "bind", "source": "/srv", "target": "/a", "read_only": True}]},
        "HostConfig.Mounts.0.Target",
        "/a",
    ),
    (
        {"volumes": [{"type": "tmpfs", "target": "/a", "tmpfs": {"size": "1m", "mode": 1777}}]},
        "HostConfig.Tmpfs",
        {"/a": "size=1m,mode=1777"},
    ),
    ({"tmpfs": "/a"}, "HostConfig.Tmpfs", {"/a": ""}),
    (
        {"ports": [{"target": 80, "published": "8000-8010", "host_ip": "127.0.0.1"}]},
        "HostConfig.PortBindings",
        {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000-8010"}]},
    ),
    (
        {"ports": ["2456-2457:2456-2457/udp", "80"]},
        "HostConfig.PortBindings",
        {
            "2456/udp": [{"HostIp": "", "HostPort": "2456"}],
            "2457/udp": [{"HostIp": "", "HostPort": "2457"}],
            "80/tcp": [{"HostIp": "", "HostPort": ""}],
        },
    ),
    (
        {"devices": [{"source": "/dev/null", "target": "/dev/n", "permissions": "r"}]},
        "HostConfig.Devices",
        [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}],
    ),
    ({"device_cgroup_rules": ["c 13:* rmw"]}, "HostConfig.DeviceCgroupRules", ["c 13:* rmw"]),
    (
        {"gpus": [{"device_ids": ["0"], "options": {"a": "b"}}]},
        "HostConfig.DeviceRequests",
        [{"Driver": "", "Count": 0, "DeviceIDs": ["0"], "Capabilities": [["gpu"]], "Options": {"a": "b"}}],
    ),
    ({"gpus": "all"}, "HostConfig.DeviceRequests.0.Count", -1),
    ({"gpus": [{"device_ids": ["GPU-aa"]}]}, "HostConfig.DeviceRequests.0.DeviceIDs", ["GPU-aa"]),
    ({"gpus": [{"device_ids": ["GPU-aa"]}]}, "HostConfig.DeviceRequests.0.Count", 0),
    (
        {"gpus": [{"driver": "cdi", "device_ids": ["nvidia.com/gpu=GPU-aa"]}]},
        "HostConfig.DeviceRequests.0",
        {
            "Driver": "cdi",
            "Count": 0,
            "DeviceIDs": ["nvidia.com/gpu=GPU-aa"],
            "Capabilities": [["gpu"]],
            "Options": {},
        },
    ),
    (
        {"gpus": [{"driver": "amd", "device_ids": ["/dev/dri/renderD129"]}], "devices": ["/dev/kfd:/dev/kfd"]},
        "HostConfig.Devices",
        [
            {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"}
            for path in ("/dev/kfd", "/dev/dri/renderD129")
        ],
    ),
    ({"gpus": [{"driver": "intel", "device_ids": ["/dev/dri/renderD128"]}]}, "HostConfig.DeviceRequests", []),
    ({"devices": ["vendor.com/gpu=0"]}, "HostConfig.DeviceRequests.0.DeviceIDs", ["vendor.com/gpu=0"]),
    ({"cap_add": ["sys_nice"]}, "HostConfig.CapAdd", ["SYS_NICE"]),
    ({"cap_drop": ["all"]}, "HostConfig.CapDrop", ["ALL"]),
    ({"security_opt": ["no-new-privileges:true"]}, "HostConfig.SecurityOpt", ["no-new-privileges:true"]),
    ({"deploy": {"resources": {"limits": {"cpus": "0.5"}}}}, "HostConfig.NanoCpus", 500_000_000),
    ({"deploy": {"resources": {"limits": {"memory": 64 * MIB}}}}, "HostConfig.Memory", 64 * MIB),
    ({"deploy": {"resources": {"limits": {"pids": 64}}}}, "HostConfig.PidsLimit", 64),
    ({"deploy": {"resources": {"reservations": {"memory": "64m"}}}}, "HostConfig.MemoryReservation", 64 * MIB),
]


@pytest.fixture(params=["dummy", "docker"])
def engine(request: pytest.FixtureRequest) -> ContainerEngine:
    return DummyEngine("node-1") if request.param == "dummy" else request.getfixturevalue("docker_engine")


def inspect(engine: ContainerEngine, container_id: str) -> Any:
    """A dummy makes nothing of what it is asked: that is what is looked at."""
    if isinstance(engine, DockerEngine):
        return engine._api.inspect_container(container_id)
    assert isinstance(engine, DummyEngine)
    new = engine._by_id[container_id].new
    config = create_config(new, [folder.source for folder in host_folders(new.spec)])
    return {"Config": config, "HostConfig": config["HostConfig"]}


def without_zeros(value: Any) -> Any:
    """Docker leaves a zero of a health check out."""
    return {key: item for key, item in value.items() if item or item == ""} if isinstance(value, dict) else value


@pytest.mark.parametrize(("fields", "place", "expected"), KEYS, ids=[f"{place}-{key}" for key, place, _ in KEYS])
async def test_a_key_arrives(
    engine: ContainerEngine, test_image: str, fields: dict[str, Any], place: str, expected: Any
) -> None:
    node = engine._node if isinstance(engine, DockerEngine) else "node-1"
    new = make_new_container(make_owner(node=node), **({"image": test_image, "command": ["true"]} | fields))
    found = inspect(engine, await engine.create(new))
    for part in place.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    assert (without_zeros(found) if place == "Config.Healthcheck" else found) == expected
