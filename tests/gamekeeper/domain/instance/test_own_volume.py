"""Volumes in the document of an instance."""

from __future__ import annotations

import pytest

from gamekeeper.domain.instance.own_volume import with_own_volumes
from gamekeeper.domain.language.problem import ProblemList
from tests.factories import make_container


@pytest.mark.parametrize("source", ["gk-p-victim-data", "gk-i-arena-1.data", "gk-i-arena", "gk-u-x", "gk-"])
def test_names_of_gamekeeper_are_refused(source: str) -> None:
    problems = ProblemList()
    with_own_volumes(make_container(volumes=["data:/d", f"{source}:/v"]), "arena", problems)
    (problem,) = problems.problems
    assert (problem.path, source in problem.message) == ("container.volumes[1]", True)


def test_those_that_the_instance_has_stay() -> None:
    problems = ProblemList()
    before = make_container(volumes=["gk-p-shop-data:/data"])
    given = ["gk-p-shop-data:/other:ro", "gk-i-arena.saves:/saves", "new:/new", "external:gk-x:/x", "/srv:/srv"]
    made = with_own_volumes(make_container(volumes=given), "arena", problems, before)
    assert made.volumes == [*given[:2], "gk-i-arena.new:/new", *given[3:]]
    assert problems.problems == []
