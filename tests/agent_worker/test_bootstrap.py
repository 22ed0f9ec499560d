"""No error of one of its loops ends the agent, nor the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from agent_worker.bootstrap import Agent
from gamekeeper import supervised
from gamekeeper.supervised import Supervised
from tests.hang import HANG_SECONDS


class Failing:
    """All parts of an agent that work by themselves; each call of a loop is counted, and raises."""

    def __init__(self) -> None:
        self.care = self.sending = Supervised("care")
        self.calls = 0
        self.again = asyncio.Event()

    async def run_forever(self, *_: object) -> None:
        self.calls += 1
        if self.calls > 2:
            self.again.set()
        raise KeyError("nobody foresaw it")

    def work(self) -> list[Coroutine[Any, Any, None]]:
        return [self.care.endless(self.run_forever)]

    take_up = sample_forever = send_forever = renew_forever = look_at_policy = run_forever


async def test_every_loop_goes_on_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "FIRST_START_SECONDS", 0.001)
    monkeypatch.setattr("agent_worker.bootstrap.TAKE_UP_SECONDS", 0.001)
    names = ("engines", "journal", "spool", "link", "follower", "uploader", "reaper", "telemetry", "inventory")
    parts = {name: Failing() for name in (*names, "subscription", "membership", "instances")}
    agent = Agent(**cast(Any, parts), policy=cast(Any, None))
    running = [asyncio.create_task(part) for part in agent.work()]
    working = [parts[name] for name in parts if name not in ("engines", "journal", "spool")]
    async with asyncio.timeout(HANG_SECONDS):
        for part in working:
            await part.again.wait()
    assert not [task for task in running if task.done()]
    for task in running:
        task.cancel()
