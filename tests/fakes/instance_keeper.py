"""A keeper in memory: it does what it is ordered, at once or when a test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from temporalio import activity
from temporalio.exceptions import ApplicationError

from gamekeeper.domain.instance.order import InstanceOrder, InstanceOutcome, InstanceStatus
from gamekeeper.domain.instance.schedule import ConsoleLine
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.errors import PolicyError


def as_ordered(order: InstanceOrder) -> tuple[InstanceState, InstanceReason | None]:
    """The state in which a sound instance settles."""
    if order.desired is Desired.REMOVED:
        return InstanceState.DELETED, None
    if order.desired is Desired.STOPPED or order.held:
        return InstanceState.STOPPED, order.held
    return InstanceState.READY, None


class FakeKeeper:
    """``settles`` gives the end of an order. Orders wait while ``may_end`` is not set, until a newer one comes.
    ``runs_on`` is a revision that goes on in place of any that is ordered. ``lines`` are those that were typed; with
    words in ``deaf`` a console takes none."""

    def __init__(self) -> None:
        self.orders: list[InstanceOrder] = []
        self.settles: Callable[[InstanceOrder], tuple[InstanceState, InstanceReason | None]] = as_ordered
        self.runs_on: int | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.lines: list[ConsoleLine] = []
        self.deaf = ""
        self._came = asyncio.Condition()
        self._seq = 0

    @activity.defn(name="instance.carry_out")
    async def carry_out(self, order: InstanceOrder) -> InstanceOutcome:
        newest = max((known.serial for known in self._of(order.instance)), default=0)
        if order.serial < newest:
            raise PolicyError("an older order")
        async with self._came:
            self.orders.append(order)
            self._came.notify_all()
        if not order.kill:
            await self._allowed(order)
        state, reason = self.settles(order)
        self._seq += 1
        status = InstanceStatus(
            instance=order.instance,
            serial=order.serial,
            revision=self.runs_on or order.revision,
            desired=order.desired,
            state=state,
            reason=reason,
            message=f"{state} as ordered" if reason else "",
            since=datetime.now(UTC),
            container_id=f"c-{order.revision}",
            seq=self._seq,
        )
        return InstanceOutcome(status=status, revision=order.revision if self.runs_on else 0)

    @activity.defn(name="instance.type_in")
    async def type_in(self, line: ConsoleLine) -> str:
        if self.deaf:
            raise ApplicationError(self.deaf, type="conflict", non_retryable=True)
        self.lines.append(line)
        return "an answer that nobody reads"

    async def until_ordered(self, serial: int) -> InstanceOrder:
        """Waits for the order with this number."""
        async with self._came:
            await self._came.wait_for(lambda: any(order.serial == serial for order in self.orders))
        return next(order for order in self.orders if order.serial == serial)

    def serials(self) -> list[int]:
        return [order.serial for order in self.orders]

    async def _allowed(self, order: InstanceOrder) -> None:
        while not self.may_end.is_set():
            async with self._came:
                newer = asyncio.ensure_future(self._newer(order))
            await asyncio.wait(
                {newer, allowed := asyncio.ensure_future(self.may_end.wait())}, return_when="FIRST_COMPLETED"
            )
            for waiting in (newer, allowed):
                waiting.cancel()
            if any(known.serial > order.serial for known in self._of(order.instance)):
                return

    async def _newer(self, order: InstanceOrder) -> None:
        async with self._came:
            await self._came.wait_for(lambda: any(known.serial > order.serial for known in self._of(order.instance)))

    def _of(self, instance: str) -> list[InstanceOrder]:
        return [order for order in self.orders if order.instance == instance]
