"""RunIntake in memory: runs that a test has put there, and calls of the pipelines that it has put there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gamekeeper.domain.language.resolved import ResolvedCall, ResolvedPipeline
from gamekeeper.domain.node.node import NodeStatus, NodeView
from gamekeeper.domain.run.run import BEHAVIOUR, AcceptedRun, GroupPlace, GroupRequest, RunById, RunCall, RunInput
from gamekeeper.domain.run.schedule import ScheduledRun
from gamekeeper.errors import NotFoundError


class FakeRunIntake:
    """``pipelines`` make the pipeline of a call; ``may_load`` holds back what is loaded while it is not set."""

    def __init__(self) -> None:
        self.runs: dict[str, RunInput] = {}
        self.pipelines: dict[str, Callable[[ResolvedCall], ResolvedPipeline]] = {}
        self.asked_for: asyncio.Queue[str] = asyncio.Queue()
        self.may_load = asyncio.Event()
        self.may_load.set()

    async def accept_call(self, call: RunCall) -> AcceptedRun:
        if call.call.name not in self.pipelines:
            raise NotFoundError(f"there is no pipeline {call.call.name}")
        pipeline = self.pipelines[call.call.name](call.call)
        nodes = {name: NodeView(id=name, status=NodeStatus.ONLINE) for name in pipeline.nodes()}
        self.runs[call.run_id] = RunInput(run_id=call.run_id, pipeline=pipeline, nodes=nodes, behaviour=BEHAVIOUR)
        by_id = RunById(run_id=call.run_id, behaviour=BEHAVIOUR)
        return AcceptedRun(run=by_id, pipeline=pipeline.name, nodes=pipeline.nodes())

    async def accept_scheduled(self, scheduled: ScheduledRun) -> AcceptedRun:
        raise NotFoundError(f"there is no pipeline {scheduled.pipeline}")

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
