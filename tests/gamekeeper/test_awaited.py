"""A process waits for files that another one writes, and says so once."""

from __future__ import annotations

import asyncio

import pytest

from gamekeeper.awaited import TOLD_AFTER, until_written
from gamekeeper.backoff import Backoff
from tests.hang import HANG_SECONDS


async def test_it_waits_until_they_are_there_and_tells_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Backoff, "next_delay", _counted)
    looks = iter(range(3 * TOLD_AFTER))
    await until_written("the key", lambda: next(looks) == 2 * TOLD_AFTER)
    assert caplog.messages == ["waiting for the api process to make the key"]


async def test_what_is_there_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.wait_for(until_written("the key", lambda: True), HANG_SECONDS)
    assert caplog.messages == []


def _counted(backoff: Backoff) -> float:
    backoff.failures += 1
    return 0.0
