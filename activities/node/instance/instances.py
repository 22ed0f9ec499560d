"""``instance.carry_out`` hands an order to the keeper, and waits for what comes of it. ``instance.type_in`` has it type
a line into an instance's console."""

from __future__ import annotations

from temporalio import activity

from activities.beating import beating
from activities.node.delivery import journaled, refused, translated
from gamekeeper.domain.instance.order import InstanceOrder, InstanceOutcome
from gamekeeper.domain.instance.schedule import ConsoleLine
from gamekeeper.ports.instance_keeper import InstanceKeeper
from gamekeeper.ports.node_agent import Deliveries, Inputs


class InstanceActivities:
    """Registered by the agent on its node's control queue; the workflow only uses the definition."""

    def __init__(self, keeper: InstanceKeeper, inputs: Inputs, deliveries: Deliveries, beat_seconds: float) -> None:
        self._keeper = keeper
        self._inputs = inputs
        self._deliveries = deliveries
        self._beat_seconds = beat_seconds

    @activity.defn(name="instance.carry_out")
    async def carry_out(self, order: InstanceOrder) -> InstanceOutcome:
        """Ends when the instance has settled by the order. A cancel ends the wait, and the order stands."""
        async with beating(self._beat_seconds), translated():
            if reason := self._inputs.refusal():
                raise refused("order", reason)
            async with journaled(self._deliveries, order.key):
                return await self._keeper.carry_out(order)

    @activity.defn(name="instance.type_in")
    async def type_in(self, line: ConsoleLine) -> None:
        """Types one line into the console of an instance, and never a second time."""
        async with beating(self._beat_seconds), translated():
            if reason := self._inputs.refusal():
                raise refused("line", reason)
            await self._keeper.type_in(line)
