"""The waits of a run, as lines for those who look at it and for those who follow it."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.cli.waiting import waits_of

TAKES = "for node vm to take it, which is busy with 1 other step"


def run(state: str, waiting: str, step_state: str = "pending", step_waiting: str = "") -> dict[str, Any]:
    step = {"name": "a", "type": "job", "state": step_state, "waiting": step_waiting}
    return {"id": "6b0c", "state": state, "waiting": waiting, "steps": [step]}


@pytest.mark.parametrize(
    ("found", "looked", "followed"),
    [
        (run("running", f"a waits {TAKES}", "starting", TAKES), [f"a waits {TAKES}"], []),
        (run("running", "a waits for node x", "waiting_node", "for node x"), ["a waits for node x"], None),
        (run("queued", 'in group "arena": place 1'), ['run 6b0c waits in group "arena": place 1'], None),
        (
            run("paused", "for a user to resume it"),
            ["run 6b0c waits for a user to resume it", "    gamekeeper runs resume 6b0c"],
            None,
        ),
        (
            run("running", "a waits for a user's decision", "held", "for a user's decision"),
            [
                "a waits for a user's decision",
                *[f"    gamekeeper runs {word} 6b0c a" for word in ("retry", "skip", "fail")],
            ],
            None,
        ),
        (run("running", ""), [], None),
    ],
)
def test_lines(found: dict[str, Any], looked: list[str], followed: list[str] | None) -> None:
    """A step that was just handed to its node is no news for those who follow."""
    assert waits_of(found) == looked
    assert waits_of(found, passing=False) == (looked if followed is None else followed)
