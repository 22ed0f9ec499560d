"""The keys of a container that have a form: what is taken as it is, at its edges. Mistakes are in ``test_check.py``."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gamekeeper.domain.language.container import Container, Healthcheck, split_volume

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
        ({"cap_drop": ["all"]}, "is not a capability"),
        ({"volumes": ["a:b"]}, '"a:b" is not a volume'),
        ({"volumes": [":/b"]}, '":/b" is not a volume'),
        ({"volumes": ["a:/b:ro:x"]}, '"a:/b:ro:x" is not a volume'),
        ({"volumes": ["a:/b:rx"]}, '"rx" is not a mode'),
        ({"volumes": ["a:/b:ro,rx"]}, '"ro,rx" is not a mode'),
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
    flags = ("init", "read_only", "stdin_open", "privileged")
    assert [getattr(container, flag) for flag in flags] == [False] * len(flags)
    assert container.healthcheck is not None
    assert (container.healthcheck.retries, container.healthcheck.disable) == (3, False)  # Docker's own number


@pytest.mark.parametrize(
    ("text", "parts"),
    [("data:/x", ("data", "/x", "rw")), ("/a:/b:ro", ("/a", "/b", "ro")), ("a:/b:nocopy,z", ("a", "/b", "nocopy,z"))],
)
def test_a_volume_has_three_parts(text: str, parts: tuple[str, str, str]) -> None:
    assert split_volume(text) == parts
