"""RunIntake in memory: runs that a test has put there, given out once ``may_load`` is set."""

from __future__ import annotations

import asyncio

from gamekeeper.domain.run import AcceptedRun, GroupPlace, GroupRequest, RunById, RunCall, RunInput
from gamekeeper.domain.schedule import ScheduledRun
from gamekeeper.errors import InvalidError, NotFoundError


class FakeRunIntake:
    def __init__(self) -> None:
        self.runs: dict[str, RunInput] = {}
        self.asked_for: asyncio.Queue[str] = asyncio.Queue()
        self.may_load = asyncio.Event()

    async def accept_call(self, call: RunCall) -> AcceptedRun:
        raise InvalidError(f"no pipeline {call.call.name} here")

    async def accept_scheduled(self, scheduled: ScheduledRun) -> AcceptedRun:
        raise InvalidError(f"no pipeline {scheduled.pipeline} here")

    async def load(self, asked: RunById) -> RunInput:
        self.asked_for.put_nowait(asked.run_id)
        await self.may_load.wait()
        if asked.run_id not in self.runs:
            raise NotFoundError(f'there is no run "{asked.run_id}"')
        return self.runs[asked.run_id]

    async def enter_group(self, request: GroupRequest) -> GroupPlace:
        return GroupPlace(granted=True)

    async def next_in_line(self, request: GroupRequest) -> list[str]:
        return []
