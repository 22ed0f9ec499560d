"""Schedules in an instance's document, and the circumstances in which a firing is skipped."""

from __future__ import annotations

import pytest

from gamekeeper.domain.instance.document import InstanceDocument, RevisionDocument, read_document
from gamekeeper.domain.instance.schedule import MAX_SCHEDULES, Circumstances, ScheduledAction, spec_of, why_not
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.problem import ProblemList
from gamekeeper.domain.language.source import parse_text

ALL = tuple(ScheduledAction)
HEAD = "id: arena\ncontainer: {image: a}\nschedules:\n"


def read(text: str) -> tuple[InstanceDocument | None, list[str]]:
    document = parse_text(HEAD + text)
    problems = ProblemList(document.positions)
    return read_document(document, InstanceDocument, problems), [str(problem) for problem in problems.problems]


def test_a_document_has_them_as_they_are_written() -> None:
    found, problems = read(
        "- {name: nightly, cron: '0 5 * * *', timezone: Europe/Berlin, action: restart}\n"
        "- {name: warn, cron: '@daily', command: say 5 minutes, paused: true, catch_up: 1m}\n"
    )
    assert problems == []
    assert found is not None
    nightly, warn = found.schedules
    assert (nightly.does, nightly.paused, nightly.catch_up) == (ScheduledAction.RESTART, None, "10m")
    assert (warn.does, warn.command, warn.paused) == (ScheduledAction.COMMAND, "say 5 minutes", True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("- {cron: '@daily', action: stop}", 'schedules[0].name: is missing; add "name"'),
        ("- {name: Bad, cron: '@daily', action: stop}", 'schedules[0].name: "Bad" is no name of a schedule'),
        ("- {name: a, cron: '0 25 * * *', action: stop}", 'schedules[0].cron: field 2 "25" is outside 0-23'),
        ("- {name: a, cron: '@daily', action: reboot}", 'schedules[0].action: "reboot"; use start, stop or restart'),
        ("- {name: a, cron: '@daily'}", "schedules[0]: does nothing; write action: restart"),
        ("- {name: a, cron: '@daily', action: stop, command: x}", "schedules[0]: has both an action and a command"),
        ("- {name: a, cron: '@daily', command: \"a\\nb\"}", "schedules[0].command: is one line for the console"),
        ("- {name: a, cron: '@daily', command: '${{ x }}'}", "schedules[0].command: an instance has no templates"),
        (
            "- {name: a, cron: '@daily', action: restart, when: empty}",
            'schedules[0].when: "when: empty" is not supported yet: nobody counts the players',
        ),
        ("- {name: a, cron: '@daily', action: stop}\n" * 2, 'schedules: two schedules have the name "a"'),
        ("- {name: a, cron: '" + "1," * 150 + "1 * * * *', action: stop}", "schedules[0].cron: has 309 characters"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(line: str, told: str) -> None:
    _, problems = read(line)
    assert any(told in problem for problem in problems), problems


def test_a_document_has_no_more_than_the_limit() -> None:
    lines = [f"- {{name: s-{number}, cron: '@daily', action: stop}}\n" for number in range(MAX_SCHEDULES + 1)]
    assert read("".join(lines[:-1]))[1] == []
    assert len(read("".join(lines))[1]) == 1


def test_an_update_takes_none_and_says_where_they_are_changed() -> None:
    problems = ProblemList()
    assert read_document(parse_text("schedules: []"), RevisionDocument, problems) is None
    assert "gamekeeper instance schedule set" in problems.problems[0].hint


def test_the_time_for_catching_up_has_the_least_that_temporal_takes() -> None:
    assert spec_of("@daily", "UTC", "0s").catch_up == 10
    assert spec_of("@daily", "UTC", "1h").catch_up == 3600


def skipped(**now: object) -> list[str]:
    """The actions that are skipped."""
    given = Circumstances(**({"desired": Desired.RUNNING, "state": InstanceState.READY} | now))  # type: ignore[arg-type]
    return [action.value for action in ALL if why_not(action, given)]


@pytest.mark.parametrize(
    ("now", "actions"),
    [
        ({}, ["start"]),
        ({"state": InstanceState.STARTING}, ["start"]),
        ({"state": InstanceState.PREPARING}, ["start", "command"]),
        ({"state": InstanceState.CRASH_LOOP}, ["command"]),
        ({"state": InstanceState.STOPPED}, ["command"]),  # it ended by itself
        ({"state": InstanceState.FAILED}, ["command"]),
        ({"state": InstanceState.STOPPING}, ["command"]),
        ({"desired": Desired.STOPPED, "state": InstanceState.STOPPED}, ["stop", "restart", "command"]),
        ({"desired": Desired.STOPPED, "is_expired": True}, list(ALL)),
        ({"desired": Desired.REMOVED, "state": InstanceState.DELETING}, list(ALL)),
        ({"held": InstanceReason.NODE_DISABLED, "state": InstanceState.STOPPED}, ["start", "restart", "command"]),
        ({"node_trouble": "node gpu-01 is offline"}, list(ALL)),
    ],
)
def test_a_firing_is_skipped(now: dict[str, object], actions: list[str]) -> None:
    assert skipped(**now) == list(actions)


def test_a_skip_says_why() -> None:
    stopped = Circumstances(desired=Desired.STOPPED, state=InstanceState.STOPPED)
    assert why_not(ScheduledAction.RESTART, stopped) == "somebody stopped the instance"
    away = Circumstances(desired=Desired.RUNNING, state=InstanceState.READY, node_trouble="node gpu-01 is offline")
    assert why_not(ScheduledAction.STOP, away) == "node gpu-01 is offline"
