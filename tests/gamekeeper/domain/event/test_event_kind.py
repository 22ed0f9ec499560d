"""Kinds of events: every state has one, each has a meaning, and words of an engine can't pose as another kind."""

from __future__ import annotations

from enum import StrEnum

import pytest

from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.node import NodeStatus
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepState


@pytest.mark.parametrize(("subject", "states"), [("run", RunState), ("step", StepState)])
def test_every_state_has_a_kind(subject: str, states: type[StrEnum]) -> None:
    assert [EventKind.of(subject, state).value for state in states] == [f"{subject}.{state.value}" for state in states]


def test_every_status_that_a_node_can_come_to_has_a_kind() -> None:
    for status in set(NodeStatus) - {NodeStatus.NEVER_SEEN}:
        assert EventKind.of("node", status.value) == f"node.{status.value}"


def test_each_has_a_meaning_and_the_name_of_its_value() -> None:
    for kind in EventKind:
        assert kind.meaning.endswith(".")
        assert kind.name == kind.value.replace(".", "_").upper()
        assert EventKind.of(kind.subject, kind.value.removeprefix(f"{kind.subject}.")) is kind
        assert len(kind.value) <= 60  # the column


@pytest.mark.parametrize(
    ("status", "kind"), [("exited", "container.exited"), ("", "container.changed"), ("removed", "container.changed")]
)
def test_a_status_of_an_engine_is_no_word_of_ours(status: str, kind: str) -> None:
    assert EventKind.of_container(status) == kind
