"""The seam between a log and a console, for all the moments at which it may be looked for."""

from __future__ import annotations

import random

import pytest

from agent_worker.docker_engine.seam import QUIET_LOOKS, QUIET_SECONDS, StreamSeam

LINES = b"".join(b"%d of a server\n" % number for number in range(1000))


def looked(head: bytes, text: bytes, *, later: float = 0.0, ended: bool = False) -> StreamSeam:
    seam = StreamSeam(0.0)
    seam.add(head)
    for now in (0.0, *[later] * QUIET_LOOKS):
        seam.look(text, 0, now, ended=ended)
    return seam


def test_lines_that_differ_have_one_place_whatever_has_come() -> None:
    chance = random.Random(7)
    for _ in range(300):
        place, came, logged = chance.randrange(9000), chance.randrange(1, 9000), chance.randrange(17000)
        text = LINES[:logged]
        text = text[: text.rfind(b"\n") + 1]
        seam = looked(LINES[place : place + came], text)
        if seam.is_certain:
            assert seam.place == place
        if came > 500 and logged > place + came:
            assert seam.is_certain


@pytest.mark.parametrize(
    ("head", "text", "place"),
    [
        (b"tick\n", b"tick\ntick\n", 5),
        (b"k\n", b"tick\ntick\n", 8),
        (b"tick\ntick\n", b"tick\ntick\n", 0),
        (b"\n", b"x\ntick\n", 6),
        (b"", b"late\n", 5),
        (b"name? ", b"late\n", 5),
    ],
)
def test_few_or_equal_lines_are_certain_when_they_stay(head: bytes, text: bytes, place: int) -> None:
    assert not looked(head, text, later=QUIET_SECONDS / 2).is_certain
    seam = looked(head, text, later=QUIET_SECONDS)
    assert (seam.place, seam.is_certain) == (place, True)


def test_the_end_of_a_line_is_no_place_while_the_log_lags_behind() -> None:
    """A machine that is held up: the console has much, and nothing of it has come to the log yet."""
    seam = looked(b"server\n" + LINES, b"1 of a server\n2 of a server\n", later=QUIET_SECONDS)
    assert (seam.place, seam.is_certain) == (21, False)
    text = b"1 of a server\n2 of a server\n3 of a server\n" + LINES
    seam.look(text, 0, QUIET_SECONDS, ended=False)
    assert (seam.place, seam.is_certain) == (35, True)


def test_the_console_may_be_ahead_of_the_log() -> None:
    seam = looked(b"two\n", b"one\n", later=QUIET_SECONDS)
    assert (seam.place, seam.is_certain, seam.guess(b"one\n", 10)) == (None, False, 14)


def test_the_log_ends_a_last_line_that_has_no_end() -> None:
    seam = looked(b"bye", b"one\nbye\n", later=QUIET_SECONDS, ended=True)
    assert (seam.place, seam.is_certain) == (4, True)


def test_a_flood_of_equal_lines_takes_no_time() -> None:
    """A process may choose what it writes, and must not hold its agent up by that."""
    seam = looked(b"y\n" * 100_000 + b"z\n", b"y\n" * 1_000_000)
    assert not seam.is_certain
