"""Tells the control plane of the instances: all of them when a session begins, and each change as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from agent_worker.instance.keeper import Keeper
from agent_worker.node_link.session import Link
from gamekeeper.backoff import Backoff
from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.domain.instance.state import InstanceState
from gamekeeper.errors import GamekeeperError
from gamekeeper.rpc.instance import status_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.supervised import Supervised

KEPT = 2000  # changes that wait; of older ones the newest of each instance is told with all the others
BATCH = 500


class InstanceReports:
    """``keeper`` has what was told last of each instance, and carries out the server's answer."""

    def __init__(self, link: Link, keeper: Keeper) -> None:
        self._link = link
        self._keeper = keeper
        self._changes: deque[InstanceStatus] = deque(maxlen=KEPT)
        self._is_asked = asyncio.Event()
        self._is_whole_due = True
        self.care = Supervised("the report of instances")

    def ask(self) -> None:
        """All of them are to be told: a session has begun."""
        self._is_whole_due = True
        self._is_asked.set()

    def told(self, status: InstanceStatus) -> None:
        self._changes.append(status)
        self._is_asked.set()

    async def run_forever(self) -> None:
        backoff = Backoff(initial=0.5, maximum=10)
        while True:
            await self._link.connected.wait()
            await self._is_asked.wait()
            self._is_asked.clear()
            try:
                await self._tell()
                self.care.succeeded()
                backoff.reset()
            except GamekeeperError as error:
                self.care.failed(error)
                self._is_asked.set()
                await asyncio.sleep(backoff.next_delay())

    async def _tell(self) -> None:
        while self._changes:
            batch = [self._changes[index] for index in range(min(BATCH, len(self._changes)))]
            await self._send(batch, complete=False)
            for status in batch:
                with suppress(ValueError):
                    self._changes.remove(status)
        if self._is_whole_due:
            self._is_whole_due = False
            try:
                await self._send(await self._keeper.statuses(), complete=True)
            except GamekeeperError:
                self._is_whole_due = True
                raise

    async def _send(self, statuses: list[InstanceStatus], *, complete: bool) -> None:
        messages = [status_to_pb(status) for status in statuses]
        request = pb.ReportInstancesRequest(instances=messages, complete=complete)
        answer = await self._link.calls.report_instances(request)
        newest = {status.instance: status.serial for status in sorted(statuses, key=lambda status: status.serial)}
        for instance in answer.remove:
            if instance in newest:
                await self._keeper.remove(instance, newest[instance])
        for status in statuses:
            if status.state is InstanceState.DELETED:
                await self._keeper.bury(status.instance, status.serial)
