"""The error column of the language: each mistake gives its own message, at its line."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.language.check import check_document
from gamekeeper.domain.language.problem import Problem
from gamekeeper.domain.language.source import Document, parse_text
from gamekeeper.errors import SpecError
from tests.gamekeeper.domain.language.mistakes import CASES, MATRIX, STEP, container, step


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        check_document(parse_text(text))
    return caught.value.problems


@pytest.mark.parametrize(("text", "line", "path", "message", "hint"), CASES, ids=[str(case[0])[-60:] for case in CASES])
def test_mistake(text: str, line: int, path: str, message: str, hint: str) -> None:
    found = problems_of(text)
    matching = [problem for problem in found if message in problem.message]
    assert matching, f"got {[str(problem) for problem in found]}"
    assert matching[0].path == path
    assert matching[0].line == line
    assert hint in matching[0].hint + matching[0].message


def test_all_problems_at_once() -> None:
    text = "name: Bad Name\nsteps:\n  - {name: a, tpye: job, container: {image: x, volumes: [v]}}\n"
    assert {problem.path for problem in problems_of(text)} == {
        "name",
        "steps[0].tpye",
        "steps[0].container.volumes[0]",
    }


@pytest.mark.parametrize(
    "text",
    [
        MATRIX.replace("build", "b" * 58) + "        A: b\n",
        step("retry: {attempts: 1, factor: 1}"),
        step("retry: {attempts: 100, factor: 100}"),
        step("retry: {factor: 1.5}"),
        step("type: service").replace("{image", "{restart: always, image"),
        step("type: service\n    lifetime: node").replace("{image", "{restart: always, image"),
        "args: [x]\n" + step("node: ${{ args.x }}"),
        "args: {x: 1}\n" + step("priority: ${{ args.x }}\n    timeout: 5${{ 'm' }}"),
    ],
)
def test_what_is_just_right(text: str) -> None:
    check_document(parse_text(text))


def test_a_problem_has_a_code_and_a_message_in_lower_case() -> None:
    """The codes are part of the API."""
    text = "name: x\nfoo: 1\nsteps:\n  - {name: a, type: b, container: {image: c, pull_policy: d}, needs: [z]}\n"
    assert {(problem.code, problem.path) for problem in problems_of(text)} == {
        ("unknown_key", "foo"),
        ("type", "steps[0].type"),
        ("value", "steps[0].container.pull_policy"),
    }
    (policy,) = [problem for problem in problems_of(text) if problem.code == "value"]
    assert policy.message == '"d"; use always, missing or never'
    assert {problem.code for problem in problems_of(step("if: steps.x.status == 'y'"))} == {"expression"}


def test_every_entry_of_a_list_is_told() -> None:
    lines = """
      ports: [2456-2458:2456-2458/udp, {target: 80, published: 8080}, '${PORT:-1}:25565', a, b]
      volumes: [/anonymous, {type: bind, source: /x, target: /x}, ./a:/a, {type: nfs, target: /n}]
      cap_add: [sys_nice, "1", "2"]
      devices: [/dev/dri, a, b]"""
    found = [problem.path.removeprefix("steps[0].container.") for problem in problems_of(container(lines))]
    assert found == [
        *("ports[2]", "ports[3]", "ports[4]", "volumes[2]", "volumes[3].type"),
        *("cap_add[1]", "cap_add[2]", "devices[1]", "devices[2]"),
    ]


def test_one_value_for_two_keys_is_told_once() -> None:
    (problem,) = problems_of(container("ulimits: {nofile: many}"))
    assert (problem.path, problem.message) == (
        "steps[0].container.ulimits.nofile",
        'must be a whole number, got "many"',
    )


def test_cycle_names_every_step() -> None:
    steps = [
        {"name": name, "needs": [need], "container": {"image": "a"}}
        for name, need in (("a", "c"), ("b", "a"), ("c", "b"))
    ]
    with pytest.raises(SpecError, match=r"a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c") as caught:
        check_document(Document({"name": "x", "steps": steps}))
    (problem,) = caught.value.problems
    first = problem.message.removeprefix("needs forms a cycle: ")[0]
    assert problem.path == f"steps[{'abc'.index(first)}].needs"


def test_every_wrong_need_is_told() -> None:
    text = STEP + "  - {name: b, needs: [x, build, end, y], container: {image: a}}\n"
    text += "finally:\n  - {name: end, needs: [z], container: {image: a}}\n"
    found = [(problem.path, problem.message.split(" is ")[0]) for problem in problems_of(text)]
    assert found == [
        ("steps[1].needs", '"x"'),
        ("steps[1].needs", '"end"'),
        ("steps[1].needs", '"y"'),
        ("finally[0].needs", '"z"'),
    ]


def test_ten_thousand_steps_are_refused_by_their_number() -> None:
    steps = [{"name": f"s{index}", "container": {"image": "a"}} for index in range(10_000)]
    with pytest.raises(SpecError, match="more than the limit of 2000"):
        check_document(Document({"name": "x", "steps": steps}))


def test_a_json_spec_has_no_lines() -> None:
    with pytest.raises(SpecError) as caught:
        check_document(Document({"name": "x", "steps": [{"name": "a", "container": {"image": 5, "ttyy": True}}]}))
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [(0, "steps[0].container.ttyy")]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"if": "x\ud800"}, "steps[0].if"),
        ({"container": {"image": "i", "environment": {"A": ["\udfff"]}}}, "steps[0].container.environment.A[0]"),
        ({"container": {"image": "i", "environment": {"\ud800": "a"}}}, "steps[0].container.environment"),
    ],
)
def test_half_a_character_is_refused_at_its_place(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError) as caught:
        check_document(Document({"name": "x", "steps": [{"name": "a"} | fields]}))
    (problem,) = caught.value.problems
    assert (problem.path, problem.code) == (path, "unicode")
    problem.model_dump_json()


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('labels: {"a\\0b": x}', "steps[0].container.labels"),
        ('labels: {a: "x\\0y"}', "steps[0].container.labels.a"),
        ('environment: {A: "x\\x00y"}', "steps[0].container.environment.A"),
        ('commands: ["a\\0"]', "steps[0].container.commands[0]"),
    ],
)
def test_a_nul_that_yaml_spells_is_refused_at_its_place(line: str, path: str) -> None:
    (problem,) = problems_of(f"name: t\nsteps:\n  - name: a\n    container:\n      image: i\n      {line}\n")
    assert (problem.path, problem.code, problem.line) == (path, "nul", 6)
