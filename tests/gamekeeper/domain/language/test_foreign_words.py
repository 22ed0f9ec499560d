"""Words of other systems are answered by what to write instead, at every level."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gamekeeper.domain.language.check import check_document
from gamekeeper.domain.language.foreign_words import WORDS
from gamekeeper.domain.language.problem import Problem
from gamekeeper.domain.language.source import Document, parse_text
from gamekeeper.errors import SpecError
from tests.gamekeeper.domain.language.test_random_documents import with_key


def refused(document: Document) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        check_document(document)
    return caught.value.problems


@pytest.mark.parametrize(("model", "word"), [(model, word) for model, words in WORDS.items() for word in words])
@pytest.mark.parametrize("spelling", ["_", "-", "camel"])
def test_each_word_is_answered_in_each_spelling(model: str, word: str, spelling: str) -> None:
    first, *others = word.split("_")
    key = first + "".join(map(str.title, others)) if spelling == "camel" else word.replace("_", spelling)
    problems = refused(Document(with_key(model, key, "x")))
    assert [(problem.code, problem.hint) for problem in problems] == [("unknown_key", WORDS[model][word])]


@pytest.mark.parametrize("hint", sorted({hint for words in WORDS.values() for hint in words.values()}))
def test_each_answer_says_what_to_do(hint: str) -> None:
    assert re.search(r"\bwrite |\bleave it out|\bmount |not supported yet|\blog in ", hint)


@pytest.mark.parametrize(
    ("model", "key", "hint"),
    [
        ("Pipeline", "container", "write container on a step"),
        ("Pipeline", "image", "write image in the container of a step"),
        ("Pipeline", "needs", "write needs on a step"),
        ("Step", "image", "container: {image: ...}"),
        ("Step", "restart", "container: {restart: ...}"),
        ("Step", "ports", "container: {ports: ...}"),
        ("Container", "needs", "write needs on the step"),
        ("Container", "timeout", "write timeout on the step"),
        ("Container", "imgae", 'did you mean "image"?'),
    ],
)
def test_a_key_at_the_wrong_level_is_sent_to_its_own(model: str, key: str, hint: str) -> None:
    (problem,) = refused(Document(with_key(model, key, "x")))
    assert hint in problem.hint


def test_a_github_workflow_is_answered_line_by_line() -> None:
    text = """\
name: ci
on: [push]
jobs:
  build:
    runs-on: ubuntu-latest
env: {A: b}
steps:
  - name: build
    uses: actions/checkout@v4
    with: {depth: 1}
    env: {A: b}
    run: make
    runs-on: self-hosted
"""
    assert {problem.path: problem.line for problem in refused(parse_text(text))} == {
        "on": 2,
        "jobs": 3,
        "env": 6,
        "steps[0].uses": 9,
        "steps[0].with": 10,
        "steps[0].env": 11,
        "steps[0].run": 12,
        "steps[0].runs-on": 13,
    }


def test_steps_by_name_are_answered() -> None:
    (problem,) = refused(parse_text("name: a\nsteps:\n  build: {container: {image: b}}\n"))
    assert (problem.path, problem.line, problem.message) == ("steps", 2, "must be a list, got a mapping")
    assert problem.hint == 'write each as "- name: NAME"'


WRONG: list[tuple[str, list[str]]] = [
    (
        "steps:\n  - {name: a, timeout: soon, container: {image: b}}\n  - {name: b, needs: z, container: {image: c}}\n",
        ["steps[0].timeout", "steps[1].needs"],
    ),
    (
        "args: {n: {type: text}}\nsteps:\n  - {name: a, if: args.n == 'x', container: {image: '${{ args.m }}'}}\n",
        ["args.n.type", "steps[0].container.image"],
    ),
    (
        "foo: 1\nsteps:\n  - {name: a, container: {image: }}\n  - {name: a, container: {image: b, init: maybe}}\n",
        ["foo", "steps[0].container.image", "steps[1].name", "steps[1].container.init"],
    ),
    (
        "steps:\n  - {name: a, container: {restart: always}}\n  - {name: b, matrix: 5, container: {image: b}}\n",
        ["steps[0].container.image", "steps[1].matrix"],
    ),
    ("steps:\n  - {name: My Step, container: {image: b}}\n  - {name: b, container: {image: c}}\n", ["steps[0].name"]),
]


@pytest.mark.parametrize(("text", "paths"), WRONG)
def test_wrong_values_and_broken_rules_are_told_together(text: str, paths: list[str]) -> None:
    problems = refused(parse_text("name: test\n" + text))
    assert sorted(problem.path for problem in problems) == sorted(paths)
    assert [problem.line for problem in problems] == sorted(problem.line for problem in problems)


def test_a_wrong_value_leaves_the_document_as_it_was() -> None:
    value: dict[str, Any] = {"name": "a", "steps": [{"name": "b", "timeout": "x", "container": {"image": 5}}]}
    document = Document(value)
    refused(document)
    assert value == {"name": "a", "steps": [{"name": "b", "timeout": "x", "container": {"image": 5}}]}
