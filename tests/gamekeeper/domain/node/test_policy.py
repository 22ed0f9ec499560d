"""The policy of a node's owner."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from gamekeeper.domain.node.host_folder import host_folders
from gamekeeper.domain.node.judgement import Subject
from gamekeeper.domain.node.policy import NodePolicy
from tests.factories import make_container

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"volumes": ["/etc:/x"]}, "host path /etc is not in the policy"),
    ({"volumes": ["/srv/../etc:/x"]}, "host path /etc is not in the policy"),
    ({"volumes": ["/srvx:/x"]}, "host path /srvx is not in the policy"),
    ({"volumes": ["/var/run/docker.sock:/x"]}, "the engine's own, which no container may have"),
    ({"volumes": ["/run:/x:ro"]}, "the engine's own, which no container may have"),
    ({"volumes": ["/:/x"]}, "the engine's own, which no container may have"),
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
    ({"security_opt": ["seccomp:unconfined"]}, "security_opt seccomp:unconfined"),
    ({"device_cgroup_rules": ["c 13:* rmw"]}, 'device cgroup rule "c 13:* rmw" is not in the policy'),
    ({"group_add": ["video"]}, "group video is not in the policy"),
    ({"runtime": "nvidia"}, "runtime nvidia is not in the policy"),
    ({"gpus": "all"}, 'device "gpu" is not in the policy'),
    ({"sysctls": {"net.core.somaxconn": 1024}}, "sysctl net.core.somaxconn is not in the policy"),
    ({"oom_score_adj": -500}, "oom_score_adj -500 is not in the policy"),
    ({"labels": {"gamekeeper.run": "x"}}, 'label "gamekeeper.run" is reserved'),
    (
        {"deploy": {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}},
        'device "gpu" is not in the policy',
    ),
]
ALLOWED: list[dict[str, Any]] = [
    {"volumes": ["/srv/games:/x:ro", "/srv/games:/w", "/srv:/y:ro", "named:/z"]},
    {"cap_add": ["NET_RAW"], "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]},
    {"network_mode": "none", "ipc": "private"},
    {"volumes": ["/anonymous", {"type": "tmpfs", "target": "/x"}]},
    {"tty": True, "cpuset": "0", "cpu_shares": 512, "oom_score_adj": 500, "dns_search": "a.b", "container_name": "c"},
]


@pytest.mark.parametrize(("fields", "violation"), REFUSED)
def test_default_policy_refuses(fields: dict[str, Any], violation: str) -> None:
    found = NodePolicy().violations(make_container(**fields))
    assert len(found) == 1
    assert violation in str(found[0])


@pytest.mark.parametrize("fields", ALLOWED)
def test_default_policy_allows(fields: dict[str, Any]) -> None:
    assert NodePolicy().violations(make_container(**fields)) == []


def test_an_owner_may_allow_all_but_the_docker_socket() -> None:
    policy = NodePolicy(
        host_paths=["/"],
        volumes=["the*"],
        privileged=True,
        devices=["/dev/**", "gpu"],
        capabilities=["SYS_ADMIN", "SYS_PTRACE", "ALL"],
        security_opt=["seccomp=unconfined", "no-new-privileges:false"],
        host_network=True,
        host_namespaces=["pid", "ipc"],
        device_cgroup_rules=["a *:* rwm", "c *:* rwm"],
        groups=["*"],
        runtimes=["nvidia"],
        sysctls=["net.*"],
        oom_score_adj=-1000,
    )
    left = [fields for fields, _ in REFUSED if policy.violations(make_container(**fields))]
    assert left == [
        {"volumes": ["/var/run/docker.sock:/x"]},
        {"volumes": ["/run:/x:ro"]},
        {"volumes": ["/:/x"]},
        {"labels": {"gamekeeper.run": "x"}},
    ]


def test_a_device_is_judged_by_its_path_on_the_host() -> None:
    policy = NodePolicy(devices=["/dev/net/tun"])
    assert policy.violations(make_container(devices=["/dev/net/tun:/dev/sda:r"])) == []
    found = policy.violations(make_container(devices=["/dev/sda:/dev/net/tun"]))
    assert list(map(str, found)) == ["device /dev/sda is not in the policy"]


def test_each_violation_stands_at_its_place_and_names_the_line_that_would_allow_it() -> None:
    """Written into the policy file as it stands, the line allows that part; one that no line allows names none."""
    for fields, _ in REFUSED:
        container = make_container(**fields)
        (found,) = NodePolicy().violations(container)
        at: Any = container.model_dump()
        for part in found.path:
            at = at[part]
        assert at
        if found.line:
            assert NodePolicy.model_validate(yaml.safe_load(found.line)).violations(container) == []
    without = [fields for fields, _ in REFUSED if not NodePolicy().violations(make_container(**fields))[0].line]
    assert without == [
        {"volumes": ["/run:/x:ro"]},
        {"volumes": ["/:/x"]},
        {"labels": {"gamekeeper.run": "x"}},
    ]


@pytest.mark.parametrize(
    ("allowed", "rule", "covered"),
    [
        ("c 13:* rmw", "c 13:* r", True),
        ("c 13:* rw", "c 13:64 rw", True),
        ("c  13:*  r", "c 13:64 w", False),
        ("c 13:64 rwm", "c 13:* rwm", False),
        ("c 13:* rwm", "b 13:1 r", False),
        ("a *:* rwm", "c 1:3 r", False),  # a rule of type a is another one than all of type c
    ],
)
def test_a_cgroup_rule_asks_for_nothing_beyond_an_allowed_one(allowed: str, rule: str, covered: bool) -> None:
    policy = NodePolicy(device_cgroup_rules=[allowed])
    assert (policy.violations(make_container(device_cgroup_rules=[rule])) == []) is covered


LATER = "${{ steps.a.outputs.b }}"


@pytest.mark.parametrize(
    "fields",
    [
        {"volumes": [f"{LATER}:/x"]},
        {"volumes": [f"/etc/{LATER}:/x"]},
        {"volumes": [LATER]},
        {"devices": [LATER]},
        {"cap_add": [LATER]},
        {"group_add": [LATER]},
        {"runtime": LATER},
        {"security_opt": [LATER]},
        {"device_cgroup_rules": [LATER]},
        {"sysctls": {LATER: "1"}},
    ],
    ids=str,
)
def test_a_template_is_judged_on_the_node_alone(fields: dict[str, Any]) -> None:
    """There it has its value; one that is left there all the same is allowed nothing."""
    container = make_container(**fields)
    assert NodePolicy().violations(container) == []
    assert len(NodePolicy().violations(container, on_node=True)) == 1


def test_a_rule_asks_for_the_caller() -> None:
    """A caller that is not known where it is asked is left to the node, where nobody is nobody."""
    policy = NodePolicy.model_validate({"rules": [{"caller": "key:ad*", "allow": {"privileged": True}}]})
    container = make_container(privileged=True)
    found = {
        who: bool(policy.violations(container, Subject("", "", who))) for who in ("key:admin", "key:eva", "", None)
    }
    assert found == {"key:admin": False, "key:eva": True, "": True, None: False}


def test_a_rule_by_platform_is_refused_by_its_name() -> None:
    with pytest.raises(ValidationError, match="no rule can ask for a platform"):
        NodePolicy.model_validate({"rules": [{"platform": "steam", "allow": {}}]})


@pytest.mark.parametrize(
    "volume", ["/var/run/docker.sock:/var/run/docker.sock:ro", "/run//docker.sock:/tmp/docker.sock"]
)
def test_the_engines_socket_may_be_answered_by_the_agent(volume: str) -> None:
    container = make_container(image="itzg/mc-router", volumes=[volume])
    (refused,) = NodePolicy(host_paths=["/"]).violations(container)
    assert refused.line == "engine_socket: own"
    assert "`engine_socket: own` in the policy gives a view of its own project" in refused.message
    for document in (
        {"engine_socket": "own"},
        {"rules": [{"image": "itzg/mc-router", "allow": {"engine_socket": "own"}}]},
        {"engine_socket": "own", "rules": [{"allow": {"privileged": True}}]},
    ):
        policy = NodePolicy.model_validate(document)
        assert policy.violations(container) == []
        assert host_folders(container) == []
        for other in ("/run:/x", "/run/containerd/containerd.sock:/x", "/run/user/1000/docker.sock:/x"):
            assert policy.violations(make_container(volumes=[other]))
        assert policy.violations(make_container(volumes=[f"{volume.removesuffix(':ro')}:shared"]))


def test_a_folder_in_another_is_told_at_its_own_entry() -> None:
    volumes = ["/run/docker.sock:/s", "/srv/${{ args.x }}:/y", "/srv/x/d:/d", "/srv/x:/x"]
    found = NodePolicy(engine_socket="own").violations(make_container(volumes=volumes))
    assert [violation.path for violation in found] == [("volumes", 2)]
