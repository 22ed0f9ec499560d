"""Habits of people who come from Compose, and what becomes of them."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.check import check_document
from gamekeeper.domain.language.problem import Problem
from gamekeeper.domain.language.source import parse_text
from gamekeeper.domain.language.step import Lifetime
from gamekeeper.errors import SpecError
from tests.factories import resolve_text

SERVICE = """\
version: 1
name: habits
steps:
  - name: s
    type: service
    lifetime: node
    container:
      image: standin
      {line}
"""


def refused(text: str) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        check_document(parse_text(text))
    return caught.value.problems


def warned(text: str) -> list[tuple[str, int]]:
    return [(warning.path, warning.line) for warning in check_document(parse_text(text)).warnings]


def test_anchors_stand_below_x_keys_and_are_merged() -> None:
    resolved = resolve_text(
        """
version: 1
name: anchors
x-common: &common
  image: standin
  restart: unless-stopped
  environment: &texts {A: 1, x-of-the-user: 2}
x-more: &more {image: other, hostname: more}
steps:
  - name: a
    x-note: {any: [thing]}
    type: service
    lifetime: node
    container:
      <<: *common
      hostname: a
      environment: {<<: *texts, A: 3}
  - name: b
    type: service
    lifetime: node
    container: {<<: [*common, *more], deploy: {x-note: 1, resources: {x-note: 1}}}
"""
    )
    a, b = (step.spec for step in resolved.steps)
    assert (a.image, a.hostname, a.restart) == ("standin", "a", "unless-stopped")
    assert a.environment == {"A": "3", "x-of-the-user": "2"}
    assert (b.image, b.hostname, b.environment["A"]) == ("standin", "more", "1")


def test_a_merged_key_is_told_where_it_stands() -> None:
    head = "name: test\nx-c: &c\n  image: i\n  imgae: j\nsteps:\n  - name: a\n    container: {<<: *c}\n"
    assert [(problem.path, problem.line) for problem in refused(head)] == [("steps[0].container.imgae", 4)]


@pytest.mark.parametrize(
    ("merge", "message"),
    [
        ("<<: 5", "a merge takes mappings"),
        ("<<: [[1], {image: a}]", "a merge takes mappings"),
        ("<<: {image: a}, <<: {image: b}", 'key "<<" given twice'),
    ],
)
def test_a_merge_of_something_else(merge: str, message: str) -> None:
    (problem,) = refused(f"name: test\nsteps:\n  - name: a\n    container: {{{merge}}}\n")
    assert message in problem.message
    assert problem.line == 4


def test_a_quoted_merge_is_a_key() -> None:
    resolved = resolve_text('name: a\nsteps: [{name: a, container: {image: b, environment: {"<<": c}}}]')
    assert resolved.steps[0].spec.environment == {"<<": "c"}


def test_merges_that_double_and_merges_of_themselves_end() -> None:
    lines = ["x0: &x0 {a: 1}"] + [f"x{n}: &x{n} {{<<: [*x{n - 1}, *x{n - 1}]}}" for n in range(1, 40)]
    for text in ("\n".join(lines), "x: &x {<<: *x}"):
        with pytest.raises(SpecError, match="merges one in another"):
            parse_text(text)


def test_each_server_that_restarts_says_that_it_stays() -> None:
    """Three services: in Compose all stay up. None ends with the run without a word."""
    servers = "".join(
        f"  - {{name: {name}, type: service, container: {{image: i, restart: unless-stopped}}}}\n" for name in "abc"
    )
    problems = refused("version: 1\nname: three\nsteps:\n" + servers)
    assert [(problem.path, problem.line) for problem in problems] == [
        (f"steps[{index}].container.restart", index + 4) for index in range(3)
    ]
    assert problems[0].message == "restart: unless-stopped needs lifetime: node"
    assert "lifetime: node" in problems[0].hint
    older = resolve_text("name: three\nsteps:\n" + servers)
    assert {step.lifetime for step in older.steps} == {Lifetime.NODE}


def test_a_database_that_a_game_needs_stays_with_it() -> None:
    text = """
version: 1
name: game
steps:
  - {name: db, type: service, lifetime: node, container: {image: i, restart: unless-stopped}}
  - {name: game, type: service, lifetime: node, needs: [db], container: {image: i, restart: unless-stopped}}
"""
    assert [step.lifetime for step in resolve_text(text).steps] == [Lifetime.NODE, Lifetime.NODE]
    assert warned(text) == []


def test_a_service_that_nothing_needs_is_warned_of() -> None:
    text = "version: 1\nname: a\nsteps:\n  - {name: db, type: service, container: {image: i}}\n"
    needed = text + "  - {name: job, needs: {db: healthy}, container: {image: i}}\n"
    assert [warning.message for warning in check_document(parse_text(text)).warnings] == [
        'service "db" is needed by no step and ends with the run'
    ]
    assert warned(text) == [("steps[0].name", 4)]
    assert warned(needed) == []
    assert warned(text.replace("type: service", "type: service, lifetime: run")) == []


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('environment: ["MODE=${MODE:-creative}"]', "environment[0]"),
        ("environment: {ESCAPED: $$HOME}", "environment.ESCAPED"),
        ("environment: {MODE: $MODE}", "environment.MODE"),
        ("environment: [TZ]", "environment[0]"),
        ('command: ["--password", "${PASSWORD:-none}"]', "command[1]"),
        ('ulimits: {nofile: "${N}"}', None),
        ("hostname: ${NAME}", "hostname"),
        ("command: [sh, -c, 'echo $${HOME}']", "command[2]"),
        ("command: [sh, -c, 'echo ${HOME} $HOME']", ""),
        ("command: sh -c 'echo ${HOME}'", ""),
        ("healthcheck: {test: 'test -e ${HOME}'}", ""),
        ("healthcheck: {test: [CMD-SHELL, 'test -e ${HOME}']}", ""),
        ("healthcheck: {test: [CMD, test, '${HOME}']}", "healthcheck.test[2]"),
        ("commands: ['echo ${HOME} $$']", ""),
        ('command: ["${{ run.id }}", "costs 5$", "$1"]', ""),
    ],
)
def test_what_compose_would_fill_in_is_warned_of(line: str, path: str | None) -> None:
    text = SERVICE.format(line=line)
    if path is None:
        assert refused(text)
        return
    assert warned(text) == ([(f"steps[0].container.{path}", 9)] if path else [])


def test_a_variable_that_envs_has_is_no_warning() -> None:
    assert warned("envs: {TZ: UTC}\n" + SERVICE.format(line="environment: [TZ]")) == []


def test_two_pipelines_have_two_volumes() -> None:
    volumes = "volumes: ['data:/data', '/srv/x:/x', 'external:data:/theirs:ro', '${{ run.status }}:/y']"
    one, two = (
        resolve_text(SERVICE.format(line=volumes).replace("habits", name)).steps[0].spec.volumes
        for name in ("b11-one", "b11-two")
    )
    assert one == ["gk-p-b11-one-data:/data", "/srv/x:/x", "external:data:/theirs:ro", "${{ run.status }}:/y"]
    assert two[0] == "gk-p-b11-two-data:/data"


def needing(needs: str, needed: str = "type: service, lifetime: run") -> str:
    first = f"  - {{name: db, {needed}, container: {{image: i}}}}\n"
    return f"version: 1\nname: a\nsteps:\n{first}  - {{name: b, needs: {needs}, container: {{image: i}}}}\n"


@pytest.mark.parametrize("needs", ["{db: healthy}", "{db: }", "[db]", "db"])
def test_needs_in_its_forms(needs: str) -> None:
    assert resolve_text(needing(needs)).steps[1].needs == ["db"]
    assert resolve_text(needing("{db: succeeded}", "type: job")).steps[1].needs == ["db"]


def test_a_need_may_be_met_by_the_start() -> None:
    only_started, healthy = (resolve_text(needing(f"{{db: {word}}}")).steps[1] for word in ("started", "healthy"))
    assert (only_started.needs, only_started.started_needs) == (["db"], ["db"])
    assert (healthy.needs, healthy.started_needs) == (["db"], [])


@pytest.mark.parametrize(
    ("needs", "needed", "message", "hint"),
    [
        ("{db: started}", "type: job", '"db" is of type job, which is never started', "write db: succeeded"),
        ("{db: {condition: service_started}}", "type: service", "db has a condition; write db: started", ""),
        ("{db: running}", "type: service", 'db can\'t wait for "running"; use healthy or started', ""),
        ("{db: {condition: service_healthy}}", "type: service", "db has a condition; write db: healthy", ""),
        ("{db: {condition: service_completed_successfully}}", "type: job", "write db: succeeded", ""),
        ("{db: [healthy]}", "type: service", "db can't wait for a list", ""),
        ("{db: healthy}", "type: job", '"db" is of type job, which is never healthy', "write db: succeeded"),
        ("{db: succeeded}", "type: service", "which is never succeeded", "write db: healthy"),
        ("{dbs: healthy}", "type: service", '"dbs" is not a step', 'did you mean "db"?'),
    ],
)
def test_needs_that_can_not_be(needs: str, needed: str, message: str, hint: str) -> None:
    (problem,) = refused(needing(needs, needed))
    assert message in problem.message
    assert hint in problem.hint
    assert problem.line == 5
