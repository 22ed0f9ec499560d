"""Endless work outlives whatever it raises, and tells of it once an outage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from gamekeeper import supervised
from gamekeeper.errors import UnavailableError
from gamekeeper.supervised import QUIET_SECONDS, Supervised
from tests.hang import HANG_SECONDS
from tests.told import told


class Work:
    """Raises what it is given, one a round, then goes well. ``went_well`` is set by the first round that does."""

    def __init__(self, *errors: Exception) -> None:
        self._errors: Iterator[Exception] = iter(errors)
        self.went_well = asyncio.Event()

    async def __call__(self) -> None:
        error = next(self._errors, None)
        if error is not None:
            raise error
        self.went_well.set()


async def until_well(task: Supervised, work: Work) -> None:
    running = asyncio.create_task(task.forever(work, 0.001, slowest=0.002))
    try:
        await asyncio.wait_for(work.went_well.wait(), HANG_SECONDS)
        await asyncio.sleep(0)
        assert not running.done()
    finally:
        running.cancel()


@pytest.mark.parametrize("error", [UnavailableError("away"), ValueError("odd"), TimeoutError(), KeyError("k")])
async def test_it_goes_on_after_any_error(error: Exception) -> None:
    task = Supervised("care")
    await until_well(task, Work(error, error, error))
    assert task.failures == 3


class Clock:
    """Stands still until a test lets it go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk takes one write and refuses the next: what goes well in between ends no outage."""
    caplog.set_level(logging.INFO)
    clock = Clock()
    task = Supervised("care", clock)
    for _ in range(2):
        for _ in range(5):
            task.failed(UnavailableError("the database is away"))
            clock.now += 0.5
            task.succeeded()
            clock.now += 0.5
        clock.now += QUIET_SECONDS
        task.succeeded()
    assert told(caplog, logging.INFO) == ["care waits: the database is away", "care goes on after 5 failures"] * 2
    assert task.failures == 10


def test_a_failure_long_after_the_last_one_is_another_outage(caplog: pytest.LogCaptureFixture) -> None:
    """A task that is called seldom has nobody to tell that all was well in between."""
    clock = Clock()
    task = Supervised("care", clock)
    for _ in range(2):
        task.failed(UnavailableError("the database is away"))
        task.succeeded()
        clock.now += QUIET_SECONDS
    assert told(caplog) == ["care waits: the database is away"] * 2


def test_an_outage_without_a_success_is_one_however_long_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    task = Supervised("care", clock)
    for _ in range(5):
        task.failed(UnavailableError("the database is away"))
        clock.now += 2 * QUIET_SECONDS
    assert told(caplog) == ["care waits: the database is away"]


async def test_an_endless_loop_begins_again_and_tells_it_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "FIRST_START_SECONDS", 0.001)
    errors, goes_on, task = [ValueError("odd"), KeyError("missing")], asyncio.Event(), Supervised("care")

    async def loop() -> None:
        if errors:
            raise errors.pop()
        goes_on.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(task.endless(loop))
    await asyncio.wait_for(goes_on.wait(), HANG_SECONDS)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert told(caplog) == ["care failed, and is tried again"]
    assert task.failures == 2


async def test_an_endless_loop_that_ends_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "FIRST_START_SECONDS", 0.001)
    begun, again = 0, asyncio.Event()

    async def loop() -> None:
        nonlocal begun
        begun += 1
        if begun == 2:
            again.set()

    running = asyncio.create_task(Supervised("care").endless(loop))
    await asyncio.wait_for(again.wait(), HANG_SECONDS)
    running.cancel()


async def test_a_round_that_hangs_is_a_failure() -> None:
    task, calls, again = Supervised("care"), 0, asyncio.Event()

    async def hang() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            again.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(task.forever(hang, 0.001, slowest=0.002, limit=0.01))
    await asyncio.wait_for(again.wait(), HANG_SECONDS)
    running.cancel()
    assert task.failures >= 1


def test_the_age_grows_until_a_round_ends_well() -> None:
    now = 100.0
    task = Supervised("care", lambda: now)
    now = 107.0
    task.failed(ValueError("odd"))
    assert task.age == 7.0
    task.succeeded()
    assert task.age == 0.0


def test_an_odd_row_is_told_once_and_holds_up_none(caplog: pytest.LogCaptureFixture) -> None:
    task, done = Supervised("care"), []
    for _ in range(3):
        for name in ("a", "odd", "b"):
            with task.row(name):
                if name == "odd":
                    raise ValueError("no such state")
                done.append(name)
    assert done == ["a", "b"] * 3
    assert task.failures == 3
    assert told(caplog) == ["care skips odd for now: no such state"]


def test_a_row_that_is_odd_now_and_then_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    task = Supervised("care", clock)
    for number in range(6):
        with task.row("a"):
            if number % 2 == 0:
                raise ValueError("no such state")
    assert len(told(caplog)) == 1
    clock.now += QUIET_SECONDS
    with task.row("a"):
        pass
    with task.row("a"):
        raise ValueError("no such state")
    assert len(told(caplog)) == 2


def test_any_number_of_odd_rows_hides_no_new_one(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "MAX_TOLD", 2)
    task = Supervised("care")
    for name in ("a", "b", "c", "c", "d"):
        with task.row(name):
            raise ValueError("odd")
    assert told(caplog) == [f"care skips {name} for now: odd" for name in "abcd"]


def test_rows_are_not_asked_for_one_by_one_while_a_part_is_away() -> None:
    task, asked = Supervised("care"), []

    def ask_all() -> None:
        for number in range(1000):
            with task.row(str(number)):
                asked.append(number)
                raise UnavailableError("Temporal does not answer")

    with pytest.raises(UnavailableError):
        ask_all()
    assert len(asked) == 3
