"""The order in which tests are handed out, and what is told about processes that had nothing to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.order import LONG_FIRST, Idleness, place

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("start", LONG_FIRST)
def test_what_is_named_exists(start: str) -> None:
    """A file that was moved would lose its place without a word."""
    path, _, test = start.partition("::")
    assert (ROOT / path).exists()
    assert test in (ROOT / path).read_text() if test else True


def test_long_ones_come_before_all_others() -> None:
    names = ["tests/api/test_ca.py::test_a", "tests/clients/test_clients.py::test_b[x]", f"{LONG_FIRST[0]}::test_c@one"]
    assert sorted(names, key=place) == names[::-1]


def test_idle_times_are_told_by_process() -> None:
    idleness = Idleness()
    idleness.note("gw1", 100, 104)
    assert idleness.lines() == [], "alone, no one waits for another"
    idleness.note("gw0", 102, 103)
    idleness.note("gw1", 105, 110)
    assert idleness.lines() == [
        "gw0: idle 9 s of 10, of that 7 s at the end",
        "gw1: idle 1 s of 10, of that 0 s at the end",
    ]
