"""The keys of a container that have a form: what is taken as it is, at its edges. Mistakes are in ``test_check.py``."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from gamekeeper.domain.language.container import Container, Healthcheck
from gamekeeper.domain.language.key_docs import json_schema
from gamekeeper.domain.language.volume import split_volume

TEMPLATE = "${{ args.a }}"


@pytest.mark.parametrize(
    "fields",
    [
        {"image": "a b ${{ args.a }}"},
        {"restart": "on-failure"},
        {"restart": "on-failure:5"},
        {"restart": TEMPLATE},
        {"stop_signal": ""},
        {"stop_signal": "15"},
        {"stop_signal": "SIGRTMIN+3"},
        {"stop_signal": TEMPLATE},
        {"cap_add": ["ALL", "CAP_SYS_NICE", "NET_ADMIN", TEMPLATE]},
        {"cap_drop": ["ALL"]},
        {"volumes": ["data:/data", "/srv:/srv:ro", "/srv:/srv:ro,Z", TEMPLATE]},
        {"ports": ["80", "8080:80/udp", TEMPLATE]},
        {"healthcheck": {"test": ["CMD", "true"]}},
        {"healthcheck": {"test": ["CMD-SHELL", "true"]}},
        {"healthcheck": {"test": ["NONE"]}},
        {"healthcheck": {"test": []}},
        {"deploy": {"resources": {"limits": {"pids": 1}}}},
        {"command": "sh", "entrypoint": "sh"},
        {"commands": []},
    ],
    ids=str,
)
def test_what_is_taken(fields: dict[str, Any]) -> None:
    container = Container(**({"image": "image"} | fields))
    assert container.model_dump(include=set(fields), exclude_unset=True).keys() == fields.keys()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"restart": "on-failure:x"}, "use no, always"),
        ({"cap_drop": ["a!"]}, "is not a capability"),
        ({"volumes": ["a:b"]}, '"a:b" is not a volume'),
        ({"volumes": [":/b"]}, '":/b" is not a volume'),
        ({"volumes": ["a:/b:ro:x"]}, '"a:/b:ro:x" is not a volume'),
        ({"volumes": ["aa:/b:rx"]}, '"rx" is not a mode'),
        ({"volumes": ["aa:/b:ro,rx"]}, '"ro,rx" is not a mode'),
        ({"healthcheck": {"test": ["RUN", "a"]}}, 'not "RUN"'),
        ({"ulimits": [1]}, "must be a mapping, got a list"),
        ({"deploy": "x"}, 'must be a mapping, got "x"'),
        ({"commands": "a", "entrypoint": "b"}, "use either commands or command"),
        ({"commands": "a", "command": []}, "use either commands or command"),
    ],
    ids=str,
)
def test_what_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Container(**({"image": "image"} | fields))


def test_short_forms_become_the_long_ones() -> None:
    devices = [
        {"capabilities": "gpu"},
        {"capabilities": "gpu", "count": None},
        {"capabilities": ["gpu"], "count": "all"},
        {"capabilities": [], "count": 2},
    ]
    container = Container.model_validate(
        {
            "image": "image",
            "ulimits": {"nofile": 1024, "core": {"soft": 0, "hard": -1}},
            "healthcheck": {"test": "curl x"},
            "deploy": {"resources": {"reservations": {"devices": devices}}},
        }
    )
    assert {name: (limit.soft, limit.hard) for name, limit in container.ulimits.items()} == {
        "nofile": (1024, 1024),
        "core": (0, -1),
    }
    assert container.healthcheck is not None
    assert container.healthcheck.test == ["CMD-SHELL", "curl x"]
    reserved = container.deploy.resources.reservations.devices
    assert [(device.capabilities, device.count) for device in reserved] == [
        (["gpu"], None),
        (["gpu"], "all"),
        (["gpu"], "all"),
        ([], 2),
    ]


def test_a_container_that_names_its_image_alone_asks_for_nothing_else() -> None:
    container = Container(image="image", healthcheck=Healthcheck(test=["NONE"]))
    flags = ("init", "read_only", "stdin_open", "tty", "privileged")
    assert [getattr(container, flag) for flag in flags] == [False] * len(flags)
    assert container.healthcheck is not None
    assert (container.healthcheck.retries, container.healthcheck.disable) == (None, False)  # the image's own number


@pytest.mark.parametrize(
    ("text", "parts"),
    [("data:/x", ("data", "/x", "rw")), ("/a:/b:ro", ("/a", "/b", "ro")), ("aa:/b:nocopy,z", ("aa", "/b", "nocopy,z"))],
)
def test_a_volume_has_three_parts(text: str, parts: tuple[str, str, str]) -> None:
    assert split_volume(text) == parts


FORMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"cap_add": ["sys_nice", "cap_net_raw"]}, {"cap_add": ["SYS_NICE", "CAP_NET_RAW"]}),
    ({"cap_drop": "all"}, {"cap_drop": ["ALL"]}),
    (
        {"extra_hosts": {"a": "10.0.0.7", "b": ["::1", "1.1.1.1"]}},
        {"extra_hosts": ["a:10.0.0.7", "b:::1", "b:1.1.1.1"]},
    ),
    (
        {"extra_hosts": ["a=::1", "b:[::1]", "c=host-gateway"]},
        {"extra_hosts": ["a:::1", "b:::1", "c:host-gateway"]},
    ),
    ({"entrypoint": "", "command": "a 'b c'"}, {"entrypoint": [], "command": ["a", "b c"]}),
    ({"pull_policy": "if_not_present"}, {"pull_policy": "missing"}),
    ({"tmpfs": "/run"}, {"tmpfs": ["/run"]}),
    ({"ports": [{"target": 80}]}, {"ports": ["80/tcp"]}),
    (
        {"ports": [{"target": "80-81", "published": "8080-8081", "host_ip": "::1", "protocol": "udp", "name": "web"}]},
        {"ports": ["web=[::1]:8080-8081:80-81/udp"]},
    ),
    (
        {"ports": [{"target": "7-9", "published": 0, "name": "My game", "same_number": True}]},
        {"ports": ["My-game=0:7-9=/tcp"]},
    ),
    ({"ports": [{"target": 80, "host_ip": "127.0.0.1"}]}, {"ports": ["127.0.0.1::80/tcp"]}),
    ({"ports": [{"target": 80, "published": TEMPLATE}]}, {"ports": [f"{TEMPLATE}:80/tcp"]}),
    (
        {
            "volumes": [
                {"type": "bind", "source": "/a", "target": "/b", "bind": {"propagation": "rslave", "selinux": "z"}}
            ]
        },
        {"volumes": ["/a:/b:rw,rslave,z"]},
    ),
    (
        {
            "volumes": [
                {"type": "volume", "source": "world", "target": "/w", "read_only": True, "volume": {"nocopy": True}}
            ]
        },
        {"volumes": ["world:/w:ro,nocopy"]},
    ),
    ({"volumes": [{"type": "volume", "target": "/w"}]}, {"volumes": ["/w"]}),
    (
        {
            "volumes": ["aa:/a", {"type": "tmpfs", "target": "/t", "tmpfs": {"size": "64m", "mode": 1777}}],
            "tmpfs": "/run",
        },
        {"volumes": ["aa:/a"], "tmpfs": ["/run", "/t:size=64m,mode=1777"]},
    ),
    ({"devices": [{"source": "/dev/a", "permissions": "rw"}]}, {"devices": ["/dev/a:/dev/a:rw"]}),
    ({"device_cgroup_rules": "c  13:*  rmw"}, {"device_cgroup_rules": ["c 13:* rmw"]}),
    ({"sysctls": ["net.core.somaxconn=1024"]}, {"sysctls": {"net.core.somaxconn": "1024"}}),
    ({"ulimits": {"nofile": 1024}}, {"ulimits": {"nofile": {"soft": 1024, "hard": 1024}}}),
    ({"gpus": "all"}, {"gpus": [{"capabilities": ["gpu"], "count": "all"}]}),
    ({"gpus": [{"count": 2}]}, {"gpus": [{"capabilities": ["gpu"], "count": 2}]}),
    ({"environment": ["A=1", "B"]}, {"environment": {"A": "1", "B": None}}),
    ({"group_add": [44, "video"]}, {"group_add": ["44", "video"]}),
    ({"healthcheck": {"test": "NONE"}}, {"healthcheck": {"test": ["NONE"]}}),
]


@pytest.mark.parametrize(("fields", "short"), FORMS, ids=str)
def test_each_form_of_compose_becomes_one_spelling(fields: dict[str, Any], short: dict[str, Any]) -> None:
    """The short one is read again as it is: when the templates are filled in, and on the node."""
    dumped = Container(**({"image": "image"} | fields)).model_dump(exclude_unset=True, exclude={"image"})
    assert dumped == short
    assert Container(image="image", **dumped).model_dump(exclude_unset=True, exclude={"image"}) == short
    schema = {"$ref": "#/$defs/Container", "$defs": json_schema()["$defs"]}
    for form in (fields, short):
        jsonschema.Draft202012Validator(schema).validate({"image": "image"} | form)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"volumes": ["data:/x:rshared"]}, '"rshared" is for host paths'),
        ({"volumes": ["/srv:/x:nocopy,ro"]}, '"nocopy" is for volumes'),
        ({"volumes": ["/srv:/x:rw,ro"]}, '"rw,ro" says rw and ro'),
        ({"volumes": ["/srv:/x:z,Z"]}, '"z,Z" says z and Z'),
        ({"volumes": ["/srv:/x:shared,rslave"]}, "says shared and rslave"),
        ({"volumes": ["${DATA}:/x"]}, "is not filled in here"),
        ({"volumes": [{"type": "bind", "target": "/x"}]}, "has no source"),
        ({"volumes": [{"type": "volume", "target": "/x", "read_only": True}]}, "has no source"),
        (
            {"volumes": [{"type": "bind", "source": "/a", "target": "/x", "bind": {"create_host_path": False}}]},
            "create_host_path: false is not supported",
        ),
        (
            {"volumes": [{"type": "bind", "source": "/a", "target": "/x", "read_only": TEMPLATE}]},
            "write the short form",
        ),
        ({"volumes": ["/a:/"]}, "is not a volume"),
        ({"gpus": 1}, "write all, or a list"),
        ({"devices": ["/dev/a:/dev/b:x"]}, "no permissions"),
        ({"device_cgroup_rules": ["13:* rmw"]}, "is not a rule of the devices cgroup"),
        ({"cpuset": "all"}, "are no CPUs"),
        ({"expose": ["80:80"]}, "is published by ports"),
        ({"expose": ["web=80"]}, "is published by ports"),
        ({"ports": [{"target": 80, "same_number": TEMPLATE}]}, "is written out: true or false"),
        ({"expose": ["web"]}, "is not a port"),
        ({"cpu_shares": 1}, "use 2 to 262144"),
        ({"oom_score_adj": -1001}, "use -1000 to 1000"),
        ({"container_name": "a b"}, "not a name in a network"),
        ({"extra_hosts": ["a"]}, "names no address"),
    ],
    ids=str,
)
def test_what_a_form_of_compose_may_not_say(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Container(**({"image": "image"} | fields))


def test_a_node_that_knows_fewer_keys_reads_what_uses_none_of_the_newer_ones() -> None:
    """A key that says nothing is not told: an agent of an older version would refuse it."""
    told = Container(image="image", healthcheck=Healthcheck(interval="1s")).model_dump(mode="json")
    assert not told.keys() & {"tty", "group_add", "gpus", "sysctls", "runtime", "cpuset", "container_name"}
    assert told["healthcheck"].keys() == {"test", "interval", "disable"}
