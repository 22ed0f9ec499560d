"""Calls that the supervisor does not wait for."""

from __future__ import annotations

import threading
import time

import pytest

from gamekeeper.errors import UnavailableError
from gamekeeper.stack.in_background import InBackground
from tests.hang import HANG_SECONDS


def until_done(background: InBackground) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while not background.is_done():
        assert time.monotonic() < deadline


def test_one_that_hangs_holds_nobody_up_and_is_not_begun_twice() -> None:
    calls, may_end = [], threading.Event()

    def hang() -> None:
        calls.append(1)
        may_end.wait(HANG_SECONDS)

    background = InBackground(hang)
    assert [background.is_done() for _ in range(3)] == [False] * 3
    assert calls == [1]
    may_end.set()
    until_done(background)
    assert calls == [1]


def test_an_error_is_raised_where_somebody_looks_and_the_next_look_tries_again() -> None:
    answers: list[Exception | None] = [UnavailableError("away"), KeyError("odd"), None]

    def answer() -> None:
        if error := answers.pop(0):
            raise error

    background = InBackground(answer)
    with pytest.raises(UnavailableError, match="away"):
        until_done(background)
    with pytest.raises(KeyError):
        until_done(background)
    until_done(background)
