"""The scope of a secret, row by row: who may name it, and where its value may go."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gamekeeper.domain.secret.scope import EVERYTHING, MAX_LABELS, MAX_PATTERNS, SecretScope, may_have, who_may
from gamekeeper.domain.secret.use import SecretUse, UserKind

STEP = SecretUse(UserKind.RUN_STEP, pipeline="deploy-arena", node="gpu-1", node_labels={"pool": "arena", "?": "[x]"})
MADE = SecretUse(UserKind.INSTANCE, pipeline="deploy-arena", instance="arena-1", node="gpu-1", node_labels={})
OWN = SecretUse(UserKind.INSTANCE, instance="lobby", node="edge-7", node_labels={"pool": "lobby"})

# The scope, and whether the step, the instance of a pipeline and the instance of a user may have the secret.
ROWS: list[tuple[dict[str, Any], tuple[bool, bool, bool]]] = [
    ({}, (False, False, False)),
    ({"pipelines": ["*"]}, (True, True, False)),
    ({"pipelines": ["deploy-arena"]}, (True, True, False)),
    ({"pipelines": ["deploy-*"]}, (True, True, False)),
    ({"pipelines": ["deploy"]}, (False, False, False)),
    ({"pipelines": ["*-arena"]}, (True, True, False)),
    ({"pipelines": ["other", "d*y-a*a"]}, (True, True, False)),
    ({"instances": ["*"]}, (False, True, True)),
    ({"instances": ["arena-*"]}, (False, True, False)),
    ({"instances": ["arena-1*"]}, (False, True, False)),
    ({"pipelines": ["other"], "instances": ["lobby"]}, (False, False, True)),
    ({"pipelines": ["deploy-*"], "instances": ["lobby"]}, (True, True, True)),
    ({"nodes": ["*"]}, (True, True, True)),
    ({"nodes": ["gpu-*"]}, (True, True, False)),
    ({"pipelines": ["deploy-*"], "nodes": ["edge-*"]}, (False, False, False)),
    ({"pipelines": ["deploy-*"], "nodes": ["edge-*", "gpu-1"]}, (True, True, False)),
    ({"labels": {"pool": "arena"}}, (True, False, False)),
    ({"labels": {"pool": "*"}}, (True, False, True)),
    ({"labels": {"pool": "arena", "rack": "*"}}, (False, False, False)),
    ({"labels": {"?": "[x]"}}, (True, False, False)),
    ({"labels": {"?": "?x?"}}, (False, False, False)),
    ({"instances": ["*"], "labels": {"pool": "lobby"}}, (False, False, True)),
    ({"instances": ["arena-1"], "nodes": ["gpu-1"], "labels": {"pool": "arena"}}, (False, False, False)),
]


@pytest.mark.parametrize(("patterns", "expected"), ROWS, ids=[str(row[0]) for row in ROWS])
def test_a_scope_says_who_may_have_the_secret(patterns: dict[str, Any], expected: tuple[bool, ...]) -> None:
    scope = SecretScope(**patterns)
    assert tuple(may_have(scope, use) for use in (STEP, MADE, OWN)) == expected


def test_nothing_is_given_to_a_place_that_nobody_named() -> None:
    nowhere = SecretUse(UserKind.RUN_STEP, pipeline="deploy-arena")
    assert not may_have(EVERYTHING, nowhere)
    assert who_may(EVERYTHING, nowhere), "before there is a node, a submission is checked by this"
    assert not who_may(SecretScope(), nowhere)


@pytest.mark.parametrize(
    "patterns",
    [
        {"pipelines": [""]},
        {"pipelines": ["Deploy"]},
        {"nodes": ["gpu[1]"]},
        {"instances": ["ä*"]},
        {"nodes": ["a" * 64]},
        {"nodes": ["a"] * (MAX_PATTERNS + 1)},
        {"labels": {"": "x"}},
        {"labels": {"k" * 64: "x"}},
        {"labels": {"k": "x" * 256}},
        {"labels": {"k": "a\0"}},
        {"labels": {"k": "\ud800"}},
        {"labels": {str(number): "x" for number in range(MAX_LABELS + 1)}},
        {"pipeline": ["x"]},
    ],
    ids=str,
)
def test_what_is_no_pattern_is_refused(patterns: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SecretScope(**patterns)


def test_a_pattern_of_stars_takes_no_time() -> None:
    scope = SecretScope(pipelines=["*a" * 31], nodes=["*"])
    use = SecretUse(UserKind.RUN_STEP, pipeline="a" * 62 + "b", node="gpu-1")
    assert not may_have(scope, use)
