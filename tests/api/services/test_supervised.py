"""A background task outlives whatever its work raises, and tells of it once an outage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from api.services import supervised
from api.services.supervised import Supervised
from gamekeeper.errors import UnavailableError
from tests.hang import HANG_SECONDS


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


async def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    task = Supervised("care")
    for _ in range(2):
        for _ in range(5):
            task.failed(UnavailableError("the database is away"))
        task.succeeded()
    told = [record.getMessage() for record in caplog.records if record.name == supervised.__name__]
    assert told == ["care waits: the database is away", "care goes on after 5 failures"] * 2


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
    assert [record.getMessage() for record in caplog.records] == ["care skips odd for now: no such state"]


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
