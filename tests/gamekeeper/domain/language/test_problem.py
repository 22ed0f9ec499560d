"""The words of a problem, its place, and the word that its user may have meant."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.problem import Problem, ProblemList, did_you_mean, dotted

DOZEN = [f"{letter}{letter}" for letter in "abcdefghijkl"]


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("buidl", ["build", "builds", "test"], 'did you mean "build"?'),
        ("xyz", ["b", "a"], "known: a, b"),
        ("xyz", DOZEN, "known: " + ", ".join(DOZEN)),
        ("xyz", [*DOZEN, "mm"], ""),
        ("xyz", [], ""),
    ],
)
def test_the_word_that_was_meant(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == hint


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "steps: is wrong"),
        ({"line": 3}, "line 3: steps: is wrong"),
        ({"hint": "mend it"}, "steps: is wrong; mend it"),
    ],
)
def test_a_problem_as_text(fields: dict[str, object], text: str) -> None:
    assert str(Problem.model_validate({"path": "steps", "code": "c", "message": "is wrong"} | fields)) == text


def test_a_problem_stands_at_the_nearest_place_that_is_known() -> None:
    problems = ProblemList({(): (1, 1), ("steps", 0): (4, 5)})
    assert problems.position(("steps", 0, "if")) == (4, 5)
    assert problems.position(("steps",)) == (1, 1)
    assert ProblemList().position(("steps", 0)) == (0, 0)
    assert dotted(("steps", 0, "if")) == "steps[0].if"
