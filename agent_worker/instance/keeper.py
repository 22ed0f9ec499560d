"""The keeper: takes orders, has a task for each instance, and hands the engine's events to them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent_worker.instance.console_line import type_line
from agent_worker.instance.kept import Kept
from agent_worker.instance.sight import ADOPTED_REVISION, keys_of
from agent_worker.instance.succession import first_record
from agent_worker.instance.tools import Tools
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.instance.order import InstanceOrder, InstanceOutcome, InstanceStatus
from gamekeeper.domain.instance.schedule import ConsoleLine
from gamekeeper.domain.instance.state import Desired
from gamekeeper.errors import NotFoundError, PolicyError, UnavailableError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

STRAYS_SECONDS = 10.0  # until the engine is asked again that could not tell of them


class Keeper:
    """InstanceKeeper of this node. It goes on from its journal when it begins."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._kept: dict[str, Kept] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._by_name: dict[str, Kept] = {}
        self._accepting = asyncio.Lock()
        self._strays: dict[str, list[int]] = {}
        self._begun = asyncio.Event()

    async def run_forever(self) -> None:
        """Takes up all that the journal holds, and ends with the care for it when it is cancelled."""
        are_found = True
        if not self._begun.is_set():
            for name, record in (await asyncio.to_thread(self._tools.journal.load)).items():
                if name not in self._kept:
                    self._care_for(Kept(self._tools, record))
            self._tools.engine.on_event(self._stir)
            are_found = await self._look_for_strays()
            self._begun.set()
            if self._kept:
                log.info("%d instances are kept", len(self._kept))
        try:
            while not are_found:
                await asyncio.sleep(STRAYS_SECONDS)
                are_found = await self._look_for_strays()
            await asyncio.Event().wait()
        finally:
            await self.close()

    async def _look_for_strays(self) -> bool:
        """Containers of instances that no record names: somebody took the journal away. They go on, and the next order
        of their instance finds them. One that came meanwhile is told of them. False when the engine is away."""
        try:
            infos = await self._tools.engine.list_instances()
        except UnavailableError as error:
            log.warning("containers of unknown instances are not looked for: %s", error)
            return False
        for info in infos:
            key = info.owner.key if info.owner else None
            if not isinstance(key, InstanceKey) or info.name in self._by_name:
                continue
            if (kept := self._kept.get(key.instance)) is not None:
                await kept.remember(kept.memory.but(revisions=[key.revision, *kept.memory.revisions]))
                self._name(kept)
                kept.stir()
            else:
                log.warning("container %s is of an instance that this node has no order for", info.name)
                self._strays.setdefault(key.instance, []).append(key.revision)
        return True

    async def close(self) -> None:
        """Ends the care; what runs goes on."""
        for kept in self._kept.values():
            await kept.close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._begun.clear()
        self._kept, self._tasks, self._by_name = {}, {}, {}

    async def stop_all(self, grace: float) -> None:
        """Ends all processes and the care for them. They are wished to run, so the next agent starts them again."""
        await asyncio.gather(*[kept.stop_for_now(grace) for kept in self._kept.values()])

    async def carry_out(self, order: InstanceOrder) -> InstanceOutcome:
        await self._begun.wait()
        async with self._accepting:
            kept = await self._accept(order)
        return InstanceOutcome(status=await kept.until_settled(order.serial), revision=order.revision)

    async def type_in(self, line: ConsoleLine) -> None:
        await self._begun.wait()
        kept = self._kept.get(line.instance)
        if kept is None:
            raise NotFoundError(f"node {line.node} keeps no instance {line.instance}")
        await type_line(kept, line)

    async def _accept(self, order: InstanceOrder) -> Kept:
        kept = self._kept.get(order.instance)
        if kept is None:
            await self._check_buried(order)
            kept = Kept(self._tools, first_record(order, self._strays.pop(order.instance, [])))
            await asyncio.to_thread(self._tools.journal.keep_order, kept.record)
            self._care_for(kept)
            return kept
        known = kept.record.order
        if order.serial < known.serial:
            raise PolicyError(f"an older order: this node has number {known.serial} of instance {order.instance}")
        if order.serial > known.serial:
            await kept.accept(order)
            self._name(kept)
        return kept

    async def _check_buried(self, order: InstanceOrder) -> None:
        buried = await asyncio.to_thread(self._tools.journal.buried, order.instance)
        is_again = buried == order.serial and order.desired is Desired.REMOVED
        if order.serial <= buried and not is_again:
            raise PolicyError(f"an older order: instance {order.instance} was removed by number {buried}")

    async def remove(self, instance: str, serial: int) -> None:
        """The control plane has deleted it by ``serial``, the newest that it was told of: what is here of it goes, but
        for its volumes. An order that came meanwhile stands."""
        async with self._accepting:
            kept = self._kept.get(instance)
            if kept is None or kept.record.order.desired is Desired.REMOVED or kept.record.order.serial > serial:
                return
            log.warning("instance %s was deleted meanwhile: it is removed", instance)
            await kept.accept(kept.record.order.model_copy(update={"desired": Desired.REMOVED, "held": None}))

    async def statuses(self) -> list[InstanceStatus]:
        """All that was told last, of those that are not gone. Waits until the journal was read: an instance that is
        left out counts as lost."""
        await self._begun.wait()
        return [kept.record.status for kept in self._kept.values() if kept.record.status is not None]

    async def bury(self, instance: str, serial: int) -> None:
        """The control plane knows that ``serial`` has removed the instance. One that was ordered anew meanwhile stays.
        Raises UnavailableError."""
        async with self._accepting:
            kept = self._kept.get(instance)
            if kept is None or not kept.is_gone_by(serial):
                return
            await asyncio.to_thread(self._tools.journal.bury, instance, serial)
            del self._kept[instance]
            self._by_name = {name: other for name, other in self._by_name.items() if other is not kept}
            await kept.close()
            self._tasks.pop(instance)

    def keeps(self, instance: str) -> bool:
        """True also for any before the journal was read."""
        return instance in self._kept or not self._begun.is_set()

    def adopts(self, key: StepKey) -> bool:
        """True when the container of that step is an instance's now."""
        return any(kept.record.memory.adopted == key for kept in self._kept.values())

    def names_of(self, key: ContainerKey) -> Sequence[ContainerKey]:
        """The keys under which the container of one may be here: that of the step too, whose service it was."""
        kept = self._kept.get(key.instance) if isinstance(key, InstanceKey) else None
        adopted = kept.record.memory.adopted if kept is not None else None
        is_first = isinstance(key, InstanceKey) and key.revision == ADOPTED_REVISION
        return [key, adopted] if adopted is not None and is_first else [key]

    def _care_for(self, kept: Kept) -> None:
        name = kept.order.instance
        self._kept[name] = kept
        self._name(kept)
        self._tasks[name] = asyncio.create_task(kept.run())

    def _name(self, kept: Kept) -> None:
        others = {name: other for name, other in self._by_name.items() if other is not kept}
        self._by_name = others | dict.fromkeys(keys_of(kept.record), kept)

    def _stir(self, name: str) -> None:
        if not name:
            for kept in self._kept.values():
                kept.stir()
        elif (found := self._by_name.get(name)) is not None:
            found.stir()
