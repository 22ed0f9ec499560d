"""The care for one instance: a task that looks, decides and acts, again whenever something has changed.

All decisions are those of ``gamekeeper.domain.instance.keeping``. A newer order breaks off what goes on for an older
one; what the engine was asked by then it may do all the same, and the next look sees it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from agent_worker.instance import ending, making, readiness
from agent_worker.instance.journal import Record
from agent_worker.instance.kept_secrets import SecretsAwayError
from agent_worker.instance.sight import Sight, look, start_of
from agent_worker.instance.status import new_status, says_anything_new
from agent_worker.instance.succession import succession
from agent_worker.instance.tools import Tools
from gamekeeper.backoff import Backoff, jittered
from gamekeeper.domain.instance import keeping
from gamekeeper.domain.instance.crash_budget import delay_of
from gamekeeper.domain.instance.memory import Life, Memory, Over
from gamekeeper.domain.instance.order import InstanceOrder, InstanceStatus
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.log.last_words import LAST_LINES, last_words
from gamekeeper.errors import (
    GamekeeperError,
    ImageError,
    InvalidError,
    PolicyError,
    SecretError,
    UnavailableError,
)
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerInfo, EngineFaultError, StartError

log = get_logger(__name__)

LOOK_SECONDS = 30.0  # without any event: one was lost once, and a server stayed down until the next look
REMOVAL_SECONDS = 1.0  # its end is an event, too
LEAVINGS_SECONDS = 5.0
LONGEST_FAULT_SECONDS = 5.0
PATIENCE_SECONDS = 30.0  # of faults that may pass; then the order has failed, and is tried on
TROUBLE_SECONDS = 10.0  # of an engine that does not answer, before it is told


class Kept:
    """``record`` is what is kept; ``until_settled`` waits for an order's end."""

    def __init__(self, tools: Tools, record: Record) -> None:
        self.tools = tools
        self.record = record
        self._settled: InstanceStatus | None = None
        self._is_stirred = asyncio.Event()
        self._told = asyncio.Condition()
        self._round: asyncio.Task[float] | None = None
        self._is_closing = False
        self._trouble_from: float | None = None
        self._accepting = asyncio.Lock()
        self.sight = Sight(())
        self._has_looked = False

    @property
    def order(self) -> InstanceOrder:
        return self.record.kept

    @property
    def memory(self) -> Memory:
        return self.record.memory

    def stir(self) -> None:
        """Something about its containers has changed."""
        self._is_stirred.set()

    async def accept(self, order: InstanceOrder) -> None:
        """Takes a newer order, once it is on disk. Raises UnavailableError."""
        async with self._accepting:
            if not self._has_looked:
                with suppress(UnavailableError):  # then it is taken without
                    self.sight = await look(self.tools.engine, self.record, self.tools.boot)
            await asyncio.to_thread(self.tools.journal.keep_order, succession(self.record, order, self.sight))
            status = self.record.status
            self.record = succession(self.record, order, self.sight)
            self.record.status = status
            if self._round is not None:
                self._round.cancel()
            self.stir()

    def is_gone_by(self, serial: int) -> bool:
        """True when that order has removed all of it, and is the newest."""
        order, status = self.record.order, self.record.status
        is_last = order.desired is Desired.REMOVED and order.serial == serial
        return is_last and status is not None and (status.state, status.serial) == (InstanceState.DELETED, serial)

    async def until_settled(self, serial: int) -> InstanceStatus:
        """The status with which the order came to its end, also for whoever asks again while its process is started
        anew; or that of now when a newer one took its place."""
        async with self._told:
            while True:
                if self._settled is not None and self._settled.serial == serial:
                    return self._settled
                if self.record.status is not None and self.record.order.serial != serial:
                    return self.record.status
                await self._told.wait()

    async def run(self) -> None:
        """Until it is closed, or the instance has gone."""
        backoff = Backoff(initial=0.2, maximum=LONGEST_FAULT_SECONDS)
        while not self._is_closing:
            self._is_stirred.clear()
            try:
                pause = await self._one_round()
                backoff.reset()
                self._trouble_from = None
            except UnavailableError as error:
                is_secret = isinstance(error, SecretsAwayError)
                await self._tell_trouble(InstanceReason.SECRET if is_secret else InstanceReason.ENGINE, str(error))
                pause = backoff.next_delay()
            except Exception as error:
                log.exception("the care for instance %s failed, and is tried again", self.order.instance)
                words = f"the agent fails at it ({type(error).__name__}) and tries again; its log says more"
                await self._tell_trouble(InstanceReason.INTERNAL, words)
                pause = 1 + backoff.next_delay()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._is_stirred.wait()

    async def close(self) -> None:
        """Ends the care; what runs goes on."""
        self._is_closing = True
        if self._round is not None:
            self._round.cancel()
        self.stir()

    async def stop_for_now(self, grace: float) -> None:
        """Ends the care and then the process, whose end is no crash. Raises nothing."""
        await self.close()
        with suppress(GamekeeperError):
            self.sight = await look(self.tools.engine, self.record, self.tools.boot)
            for info, seen in reversed(self.sight.found):  # the order's own last: its end is the one that is judged
                if seen.life is Life.UP:
                    await self.remember(self.memory.but(stopping=seen.start))
                    await self.tools.engine.stop(info.id, grace)

    async def _one_round(self) -> float:
        """Seconds until the next look, if nothing stirs."""
        self._round = asyncio.create_task(self._look_and_act())
        try:
            return await asyncio.shield(self._round)
        except asyncio.CancelledError:
            if self._round.cancelled() and not _is_cancelled():
                return 0.0  # a newer order
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)
            raise
        finally:
            self._round = None

    async def _look_and_act(self) -> float:
        self.sight, self._has_looked = await look(self.tools.engine, self.record, self.tools.boot), True
        if self.sight.is_being_removed and self.order.desired is not Desired.REMOVED:
            return REMOVAL_SECONDS
        decision = self._decide()
        await self.remember(decision.memory)
        pause = await self._act(decision.step)
        if isinstance(decision.step, keeping.Create) and self.sight.info_or_none(self.memory.container_id):
            decision = self._decide()  # what was made is known without a look
            await self.remember(decision.memory)
            pause = await self._act(decision.step)
        return pause

    def _decide(self) -> keeping.Decision:
        boot = self.tools.boot
        decision = keeping.decide(self.order, self.memory, self.sight.seen, self.tools.steady(), boot)
        return replace(decision, memory=decision.memory.but(boot=boot))

    async def remember(self, memory: Memory) -> None:
        if memory == self.memory:
            return
        self.record.memory = memory
        order = self.record.order
        await asyncio.to_thread(self.tools.journal.keep_memory, order.instance, order.serial, memory)

    async def _act(self, step: keeping.Step) -> float:
        match step:
            case keeping.Create():
                return await self._try(making.create(self))
            case keeping.Start(container_id=found):
                return await self._try(making.start(self, self.sight.info(found)))
            case keeping.Judge(container_id=found):
                return await readiness.judge(self, self.sight.info(found))
            case keeping.Stop(container_id=found, kill=kill, may_hold=may_hold, saves=saves):
                await ending.stop(self, self.sight.info(found), kill=kill, may_hold=may_hold, save=saves)
            case keeping.FallBack(why=why, container_id=found):
                await self._fall_back(why, found)
            case keeping.Remove():
                await ending.remove_all(self, self.sight.infos, self.sight.leaving)
            case keeping.Wait() | keeping.Rest():
                return await self._pause(step)
        return 0.0

    async def _pause(self, step: keeping.Wait | keeping.Rest) -> float:
        if isinstance(step, keeping.Wait):
            return await self._tell_wait(step.state, step.seconds)
        return await self._rest(step)

    async def _try(self, work: making.Work) -> float:
        """Makes or starts; what stands in the way is remembered, and tried again where it may pass."""
        try:
            await work
            return 0.0
        except EngineFaultError as error:
            await self._fault(making.reason_of(error), str(error))
        except ImageError as error:
            await self._fault(InstanceReason.PULL_FAILED, str(error), passes=False)
        except SecretError as error:
            await self._fault(InstanceReason.SECRET, str(error), passes=False)
        except (InvalidError, StartError) as error:
            reason = InstanceReason.POLICY if isinstance(error, PolicyError) else InstanceReason.ENGINE
            await self.give_up(InstanceState.FAILED, reason, str(error))
        return 0.0

    async def _fault(self, reason: InstanceReason, text: str, *, passes: bool = True) -> None:
        """Nothing was started. It is tried again, ever more seldom; after a while the order counts as failed."""
        if await self.fell_back(Over(state=InstanceState.FAILED, reason=reason, message=text)):
            return
        memory, now = self.memory, self.tools.steady()
        begun = memory.faults_from if memory.faults and passes else now - (0 if passes else PATIENCE_SECONDS)
        await self.remember(
            memory.but(
                faults=memory.faults + 1,
                faults_from=begun,
                wait_from=now,
                wait_for=delay_of(memory.faults + 1),
                reason=reason,
                message=text,
            )
        )

    async def give_up(self, state: InstanceState, reason: InstanceReason, text: str) -> None:
        over = Over(state=state, reason=reason, message=text)
        if not await self.fell_back(over):
            await self.remember(self.memory.but(over=over))

    async def fell_back(self, why: Over) -> bool:
        """True when the revision before still runs, and goes on in place of one that can't be made or isn't ready."""
        before = self.record.before
        goes_on = before is not None and any(
            item.life is Life.UP and item.revision == before.revision for item in self.sight.seen
        )
        if not goes_on or self.memory.fall is not None:
            return False
        await self.remember(self.memory.fallen(why))
        return True

    async def _fall_back(self, why: Over, container_id: str) -> None:
        """Ends what runs instead where no order is known any more that says how it is to be kept up."""
        if not await self.fell_back(why):
            info = self.sight.info(container_id)
            await self.remember(self.memory.but(stopping=start_of(info)))
            await ending.stop(self, info, kill=self.order.kill, may_hold=False)

    async def _tell_wait(self, state: InstanceState, seconds: float) -> float:
        """Seconds until the next look: the start, or the end of the order's time, with which it has failed. It is
        tried on all the same."""
        memory, left = self.memory, keeping.ready_left(self.order, self.memory, self.tools.steady())
        text = f"{memory.message}; it is started again in {seconds:.0f} s" if seconds >= 1 else memory.message
        is_failed = memory.faults > 0 and self.tools.steady() - memory.faults_from >= PATIENCE_SECONDS
        if is_failed:
            await self.tell(InstanceState.FAILED, memory.reason, f"{memory.message}; it is tried again", settled=True)
        elif left == 0:
            words = f"it was not ready within {self.order.spec.ready.within}: {memory.message}"
            over = Over(state=InstanceState.FAILED, reason=InstanceReason.UNHEALTHY, message=words)
            if await self.fell_back(over):
                return 0.0
            await self.tell(over.state, over.reason, f"{words}; it is started again", settled=True)
        elif (status := self.record.status) is None or (status.state, status.reason) != (state, memory.reason):
            await self.tell(state, memory.reason, text)
        return min(seconds, left) if left else seconds

    async def _rest(self, rest: keeping.Rest) -> float:
        message, info = rest.message, self.sight.info_or_none(rest.container_id)
        if rest.state is InstanceState.CRASH_LOOP and info is not None:
            message = await self._with_last_lines(message, info)
        await self.tell(rest.state, rest.reason, message, info, rest.exit_code, settled=True)
        if rest.state is InstanceState.DELETED:
            return jittered(LOOK_SECONDS * 10)
        return await self.rested()

    async def rested(self) -> float:
        """Tidies up behind an instance that has settled; seconds until the next look."""
        return LEAVINGS_SECONDS if await ending.tidy(self) else jittered(LOOK_SECONDS)

    async def _with_last_lines(self, text: str, info: ContainerInfo) -> str:
        with suppress(GamekeeperError):
            if words := last_words(await self.tools.engine.last_log_lines(info.id, LAST_LINES)):
                return f"{text}; {words}"
        return text

    async def _tell_trouble(self, reason: InstanceReason, words: str) -> None:
        """Tells once of a trouble that lasts. The state stays the one that was seen last."""
        status, now = self.record.status, self.tools.steady()
        if self._trouble_from is None:
            self._trouble_from = now
            log.warning("instance %s waits: %s", self.order.instance, words)
        if now - self._trouble_from < TROUBLE_SECONDS or status is None or status.reason is reason:
            return
        if status.state.is_settled and status.state is not InstanceState.READY:
            return  # nothing goes on that the engine holds up
        told = {"reason": reason, "message": words, "seq": self.tools.journal.next_seq()}
        self.record.status = status.model_copy(update=told)
        self.tools.told(self.record.status)
        await asyncio.to_thread(self.tools.journal.keep_status, self.record.status)

    async def tell(
        self,
        state: InstanceState,
        reason: InstanceReason | None = None,
        message: str = "",
        info: ContainerInfo | None = None,
        exit_code: int | None = None,
        *,
        settled: bool = False,
    ) -> None:
        """Tells a status, if it says anything new."""
        status = new_status(self, state, reason, message, info, exit_code)
        if says_anything_new(status, self.record.status):
            status = status.model_copy(update={"seq": self.tools.journal.next_seq()})
            self.record.status = status
            self.tools.told(status)
        if settled:
            self._settled = self.record.status
        async with self._told:
            self._told.notify_all()
        if status is self.record.status:
            await asyncio.to_thread(self.tools.journal.keep_status, status)

    def is_told_starting(self, container_id: str) -> bool:
        """True when the start of that container was told under the newest order, and nothing since."""
        told, serial = self.record.status, self.record.order.serial
        return told is not None and (told.state, told.container_id, told.serial) == (
            InstanceState.STARTING,
            container_id,
            serial,
        )


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
