"""The policy of a node's owner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gamekeeper.domain.node.policy import NodePolicy
from tests.factories import make_container

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"volumes": ["/etc:/x"]}, "host path /etc is not in the policy"),
    ({"volumes": ["/srv/../etc:/x"]}, "host path /etc is not in the policy"),
    ({"volumes": ["/srvx:/x"]}, "host path /srvx is not in the policy"),
    ({"volumes": ["/var/run/docker.sock:/x"]}, "holds the Docker socket"),
    ({"volumes": ["/run:/x:ro"]}, "holds the Docker socket"),
    ({"volumes": ["/:/x"]}, "holds the Docker socket"),
    ({"volumes": ["./data:/x"]}, "neither an absolute host path nor a volume name"),
    ({"volumes": ["external:theirs:/x"]}, "external volume theirs is not in the policy"),
    ({"privileged": True}, "privileged is not in the policy"),
    ({"devices": ["/dev/dri:/dev/dri"]}, "device /dev/dri is not in the policy"),
    ({"devices": ["/dev/net/../sda"]}, "device /dev/sda is not in the policy"),
    ({"cap_add": ["SYS_ADMIN"]}, "capability SYS_ADMIN is not in the policy"),
    ({"cap_add": ["CAP_SYS_PTRACE"]}, "capability CAP_SYS_PTRACE"),
    ({"cap_add": ["ALL"]}, "capability ALL"),
    ({"network_mode": "host"}, "host network"),
    ({"pid": "host"}, "host namespace pid"),
    ({"ipc": "host"}, "host namespace ipc"),
    ({"security_opt": ["seccomp=unconfined"]}, "security_opt seccomp=unconfined"),
    ({"security_opt": ["no-new-privileges:false"]}, "security_opt no-new-privileges:false"),
    ({"labels": {"gamekeeper.run": "x"}}, 'label "gamekeeper.run" is reserved'),
    (
        {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}},
        'device "gpu" is not in the policy',
    ),
]
ALLOWED: list[dict[str, Any]] = [
    {"volumes": ["/srv/games:/x:ro", "/srv:/y", "named:/z"]},
    {"cap_add": ["NET_RAW"], "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]},
    {"network_mode": "none", "ipc": "private"},
]


@pytest.mark.parametrize(("fields", "violation"), REFUSED)
def test_default_policy_refuses(fields: dict[str, Any], violation: str) -> None:
    found = NodePolicy().violations(make_container(**fields))
    assert len(found) == 1
    assert violation in found[0]


@pytest.mark.parametrize("fields", ALLOWED)
def test_default_policy_allows(fields: dict[str, Any]) -> None:
    assert NodePolicy().violations(make_container(**fields)) == []


def test_an_owner_may_allow_all_but_the_docker_socket() -> None:
    policy = NodePolicy(
        host_paths=["/"],
        volumes=["the*"],
        privileged=True,
        devices=["*", "gpu"],
        capabilities=["SYS_ADMIN", "SYS_PTRACE", "ALL"],
        security_opt=["seccomp=unconfined", "no-new-privileges:false"],
        host_network=True,
        host_namespaces=["pid", "ipc"],
    )
    left = [fields for fields, _ in REFUSED if policy.violations(make_container(**fields))]
    assert left == [
        {"volumes": ["/var/run/docker.sock:/x"]},
        {"volumes": ["/run:/x:ro"]},
        {"volumes": ["/:/x"]},
        {"volumes": ["./data:/x"]},
        {"labels": {"gamekeeper.run": "x"}},
    ]


def test_a_device_is_judged_by_its_path_on_the_host() -> None:
    policy = NodePolicy(devices=["/dev/net/tun"])
    assert policy.violations(make_container(devices=["/dev/net/tun:/dev/sda:r"])) == []
    found = policy.violations(make_container(devices=["/dev/sda:/dev/net/tun"]))
    assert found == ["device /dev/sda is not in the policy"]


def test_a_link_out_of_an_allowed_path_is_refused_on_the_node(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    container = make_container(volumes=[f"{tmp_path}/link:/x"])
    policy = NodePolicy(host_paths=[str(tmp_path)])
    assert policy.violations(container) == []
    assert policy.violations(container, resolve_links=True) == ["host path /etc is not in the policy"]
