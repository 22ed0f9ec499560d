"""The part of the event log that a reader wants, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from gamekeeper.domain.event.event_filter import EventFilter


@dataclass
class Told:
    kind: str = "step.state"
    node: str = "n"
    run: str = "r"
    step: str = "s"
    instance: str = "i"
    actor: str = "key:ci"


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({}, True),
        ({"kinds": ["step"]}, True),
        ({"kinds": ["step.state"]}, True),
        ({"kinds": ["node", "step.state"]}, True),
        ({"kinds": ["state"]}, False),
        ({"kinds": ["node"]}, False),
        ({"kinds": ["step.other"]}, False),
        ({"node": "n", "run": "r", "step": "s"}, True),
        ({"node": "x"}, False),
        ({"run": "x"}, False),
        ({"step": "x"}, False),
        ({"instance": "i"}, True),
        ({"instance": "x"}, False),
        ({"actor": "key:ci"}, True),
        ({"actor": "key:c"}, False),
        ({"node": "n", "run": "x"}, False),
        ({"node": "x", "run": "r"}, False),
        ({"kinds": ["node"], "step": "s"}, False),
        ({"kinds": ["step"], "step": "x"}, False),
    ],
)
def test_every_field_must_fit(wanted: dict[str, Any], matches: bool) -> None:
    assert EventFilter(**wanted).matches(Told()) is matches


def test_an_event_of_nothing_in_particular_fits_those_who_ask_for_all() -> None:
    told = Told(node="", run="", step="")
    assert EventFilter(kinds=["step"]).matches(told)
    assert not EventFilter(node="n").matches(told)
