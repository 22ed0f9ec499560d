"""Hostile containers: a table of them, and what hypothesis makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.node.judgement import Subject
from gamekeeper.domain.node.policy import NodePolicy
from tests.factories import make_container
from tests.gamekeeper.domain.node.hostile import HOSTILE, Fields

HARMLESS: list[Fields] = [
    {},
    {"volumes": ["/srv/games:/x", "/srv/maps:/y:ro", "data:/z", "/anonymous"]},
    {"volumes": ["/srv/games:/x:rslave", "/srv/games:/y:ro"]},
    {"ports": ["8303:8303/udp", "25565", "1024-1030:1024-1030", "0:80", "127.0.0.1::80"]},
    {"cap_add": ["NET_RAW", "CAP_CHOWN"], "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]},
    {"shm_size": "2g", "tmpfs": ["/x:size=1g,mode=1777", "/y"], "extra_hosts": ["node:host-gateway"]},
    {"user": "0", "read_only": True, "init": True, "tty": True, "cpuset": "0", "oom_score_adj": 500},
    {"deploy": {"resources": {"limits": {"memory": "64g", "cpus": "16", "pids": 100_000}}}},
]
ON_NODE = Subject("game", "")


def refused(policy: NodePolicy, container: Container) -> bool:
    return bool(policy.violations(container, ON_NODE, on_node=True))


def test_the_table_is_as_long_as_it_was_meant() -> None:
    assert len(HOSTILE) >= 150
    assert len({str(fields) for fields in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize("fields", HOSTILE, ids=str)
def test_it_is_refused_when_it_is_submitted_and_on_the_node(fields: Fields) -> None:
    container = make_container(**fields)
    assert NodePolicy().violations(container)
    assert refused(NodePolicy(), container)


@pytest.mark.parametrize("fields", HARMLESS, ids=str)
def test_a_harmless_one_is_allowed(fields: Fields) -> None:
    assert NodePolicy().violations(make_container(**fields), ON_NODE, on_node=True) == []


@pytest.mark.parametrize(
    "volume", ["gk-p-other-data:/x", "gk-p-gam-data:/x", "gk-i-arena.data:/x", "gk-4f5e6a:/x", "gk-:/x", "gk-p-game:/x"]
)
def test_a_volume_of_somebody_else_is_refused_on_the_node(volume: str) -> None:
    assert refused(NodePolicy(volumes=["*"]), make_container(volumes=[volume]))
    assert refused(NodePolicy(volumes=["*"]), make_container(volumes=[f"external:{volume}"]))
    assert not refused(NodePolicy(), make_container(volumes=["gk-p-game-data:/x"]))


def _merged(parts: list[Fields]) -> Fields:
    """One container that asks for all of it: lists together, of the rest the last one."""
    found: Fields = {}
    for part in parts:
        for key, value in part.items():
            found[key] = [*found.get(key, []), *value] if isinstance(value, list) else value
    return found


@given(hostile=st.sampled_from(HOSTILE), others=st.lists(st.sampled_from(HARMLESS), max_size=3), first=st.booleans())
@settings(max_examples=300)
def test_nothing_that_stands_beside_it_hides_a_hostile_part(hostile: Fields, others: list[Fields], first: bool) -> None:
    parts = [hostile, *others] if first else [*others, hostile]
    merged = _merged(parts) | {key: value for key, value in hostile.items() if not isinstance(value, list)}
    assert refused(NodePolicy(), make_container(**merged))


NAMES = st.text("abcdr.-", min_size=1, max_size=6)
PATHS = st.lists(st.one_of(NAMES, st.sampled_from(["", ".", "..", "srv", "run", "etc", "docker.sock"])), max_size=6)


@given(parts=PATHS, read_only=st.booleans())
@settings(max_examples=500)
def test_no_spelling_of_a_path_leaves_the_allowed_folders(parts: list[str], read_only: bool) -> None:
    path = "/" + "/".join(parts)
    real: list[str] = []
    for name in parts:  # as the kernel reads it
        if name == "..":
            real = real[:-1]
        elif name not in ("", "."):
            real.append(name)
    container = make_container(volumes=[f"{path}:/x{':ro' if read_only else ''}"])
    assert refused(NodePolicy(), container) == (real[:1] != ["srv"])


TEXTS: st.SearchStrategy[Any] = st.text(max_size=20)


@given(
    patterns=st.lists(st.text("ab/*?[]!:@.-", max_size=12), max_size=4),
    image=st.text("ab/:@.", min_size=1, max_size=20),
)
@settings(max_examples=300)
def test_any_pattern_and_any_image_are_judged(patterns: list[str], image: str) -> None:
    policy = NodePolicy(images=patterns)
    policy.violations(make_container(image=image, devices=["/dev/a"]), ON_NODE, on_node=True)


def test_patterns_take_no_time() -> None:
    policy = NodePolicy(images=["*a" * 2000, "**/" * 500], devices=["/*a" * 2000])
    assert refused(policy, make_container(image="a" * 200, devices=["/dev/" + "a" * 2000]))
