"""Orders, ends of processes, of agents and of the engine in any order, and in the middle of each other.

Whatever happens: one container runs, or the two of a change side by side; nothing starts that was asked to stop; each
order has one answer; and what is there in the end is what was asked for last.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gamekeeper.domain.instance.order import InstanceOrder, InstanceOutcome
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.step import Strategy
from gamekeeper.errors import PolicyError
from gamekeeper.ports.container_engine import ContainerInfo
from tests.agent_worker.instance.node import KeptNode
from tests.agent_worker.instance.slow_engine import SlowEngine
from tests.agent_worker.instance.virtual_time import VirtualLoop

QUIET_SECONDS = 1000.0  # longer than any delay before a start
FLAWS: dict[str, dict[str, Any]] = {
    "": {},
    "no image": {"container": {"image": "missing"}},
    "never ready": {
        "ready": {"within": "1m"},
        "container": {"healthcheck": {"test": ["CMD", "true"]}, "environment": {"DUMMY_HEALTHY_AFTER": "9000"}},
    },
}
strategies = st.sampled_from(Strategy)
flaws = st.sampled_from(["", "", *FLAWS])
turns = st.integers(0, 15)


class Life(RuleBasedStateMachine):
    """One instance. ``newest`` is the order that was given last; ``order`` of which the answer is not there yet."""

    @initialize()
    def begin(self) -> None:
        self.loop = VirtualLoop()
        self.folder = Path(tempfile.mkdtemp(prefix="gk-orders-"))
        self.loop.run(self._begin())
        self.give()

    async def _begin(self) -> None:
        self.engine = SlowEngine("node-1")
        self.engine.is_asked, self.engine.has_started = self.may_start, self.has_started
        self.node = KeptNode(self.folder, self.engine).begin()
        self.is_there = True
        self.revision, self.last_revision = 1, 1
        self.specs: dict[int, tuple[str, InstanceSpec]] = {}
        self.given: dict[int, InstanceOrder] = {}
        self.asking: dict[int, asyncio.Task[InstanceOutcome]] = {}
        self.answers: dict[int, InstanceOutcome | BaseException] = {}
        self.ended_well_under = 0
        self.wrong: list[str] = []
        self.most_up: dict[str, int] = {}  # by the order under which a start was asked for
        self.make_revision(1, "")

    def make_revision(self, revision: int, flaw: str) -> None:
        spec = self.node.spec(restart={"attempts": 1000}, **{"container": {}} | FLAWS[flaw])
        self.specs[revision] = flaw, spec

    @property
    def newest(self) -> InstanceOrder:
        return self.given[max(self.given)]

    @property
    def kept_order(self) -> InstanceOrder:
        """The newest order that the agent has taken."""
        return self.node.keeper._kept["game"].record.order

    def may_start(self, info: ContainerInfo) -> None:
        order, answer = self.kept_order, self.answers.get(self.newest.serial)
        self.most_up[info.id] = 2 if order.strategy is Strategy.BLUE_GREEN else 1
        if order.desired is not Desired.RUNNING or order.held is not None:
            self.wrong.append(f"{info.name} is started against {order}")
        if isinstance(answer, InstanceOutcome) and self.newest.desired is not Desired.RUNNING:
            self.wrong.append(f"{info.name} is started after its stop was told")

    def has_started(self, info: ContainerInfo) -> None:
        names = sorted(other.name for other in self.engine.running())
        if len(names) > self.most_up[info.id]:
            self.wrong.append(f"{names} run at once under {self.kept_order}")

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert not getattr(self, "wrong", None)

    def give(self, desired: Desired = Desired.RUNNING, **fields: Any) -> None:
        spec = self.specs[self.revision][1]
        order = self.node.next_order(desired, self.revision, spec=spec, **fields)
        self.given[order.serial] = order
        self.deliver(order)

    def deliver(self, order: InstanceOrder) -> None:
        if self.is_there:
            task = self.loop.create_task(self.node.keeper.carry_out(order))
            task.add_done_callback(lambda done: self.hear(order.serial, done))
            self.asking[order.serial] = task

    def hear(self, serial: int, done: asyncio.Task[InstanceOutcome]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            if not isinstance(error, PolicyError) or serial == self.newest.serial:
                self.wrong.append(f"order {serial}: {error!r}")
            self.answers.setdefault(serial, error)
            return
        status = done.result().status
        if serial == self.kept_order.serial == status.serial and not status.state.is_settled:
            self.wrong.append(f"order {serial} is answered before its end: {status}")
        self.answers[serial] = done.result()

    @property
    def is_removed(self) -> bool:
        return self.newest.desired is Desired.REMOVED

    @precondition(lambda self: not self.is_removed)
    @rule(what=st.sampled_from(["start", "stop", "kill", "restart", "restart at once", "hold"]), turns=turns)
    def power(self, what: str, turns: int) -> None:
        match what:
            case "start":
                self.give()
            case "stop" | "kill":
                self.give(Desired.STOPPED, kill=what == "kill")
            case "restart" | "restart at once":
                self.give(restart=True, kill=what != "restart")
            case "hold":
                self.give(held=InstanceReason.NODE_DISABLED)
        self.loop.take_turns(turns)

    @precondition(lambda self: not self.is_removed)
    @rule(strategy=strategies, flaw=flaws, turns=turns)
    def update(self, strategy: Strategy, flaw: str, turns: int) -> None:
        self.last_revision += 1
        self.revision = self.last_revision
        self.make_revision(self.revision, flaw)
        self.give(strategy=strategy)
        self.loop.take_turns(turns)

    @precondition(lambda self: not self.is_removed and self.last_revision > 1)
    @rule(data=st.data(), strategy=strategies, turns=turns)
    def rollback(self, data: st.DataObject, strategy: Strategy, turns: int) -> None:
        self.revision = data.draw(st.integers(1, self.last_revision))
        self.give(strategy=strategy)
        self.loop.take_turns(turns)

    @precondition(lambda self: not self.is_removed)
    @rule(kill=st.booleans(), turns=turns)
    def remove(self, kill: bool, turns: int) -> None:
        self.give(Desired.REMOVED, kill=kill)
        self.loop.take_turns(turns)

    @precondition(lambda self: self.is_removed)
    @rule(turns=turns)
    def make_anew(self, turns: int) -> None:
        self.quiet()
        self.loop.run(self.node.keeper.bury("game", self.newest.serial))
        self.revision = self.last_revision
        self.make_revision(self.revision, "")
        self.give()
        self.loop.take_turns(turns)

    @precondition(lambda self: self.is_there)
    @rule(turns=turns)
    def deliver_again(self, turns: int) -> None:
        for order in self.given.values():
            if order.serial not in self.answers or order is self.newest:
                self.deliver(order)
        self.loop.take_turns(turns)

    @precondition(lambda self: self.is_there)
    @rule(turns=turns)
    def agent_ends(self, turns: int) -> None:
        self.is_there = False
        self.loop.run(self.node.kill())
        for task in self.asking.values():
            task.cancel()
        self.asking = {}
        self.loop.take_turns(turns)

    @precondition(lambda self: not self.is_there)
    @rule(turns=turns)
    def agent_begins(self, turns: int) -> None:
        self.loop.run(self._agent_begins())
        for order in self.given.values():
            if order.serial not in self.answers:
                self.deliver(order)
        self.loop.take_turns(turns)

    async def _agent_begins(self) -> None:
        self.node.begin()
        self.is_there = True

    @precondition(lambda self: not self.engine.is_away)
    @rule(turns=turns)
    def engine_ends(self, turns: int) -> None:
        self.engine.go_down()
        self.loop.take_turns(turns)

    @precondition(lambda self: self.engine.is_away)
    @rule(turns=turns)
    def engine_begins(self, turns: int) -> None:
        self.engine.come_back()
        self.loop.take_turns(turns)

    @precondition(lambda self: not self.engine.is_away and self.engine.running())
    @rule(data=st.data(), exit_code=st.sampled_from([0, 1]), turns=turns)
    def process_ends(self, data: st.DataObject, exit_code: int, turns: int) -> None:
        if exit_code == 0:
            self.ended_well_under = self.newest.serial
        self.engine.end(data.draw(st.sampled_from(self.engine.running())).id, exit_code)
        self.loop.take_turns(turns)

    @rule(seconds=st.sampled_from([0.5, 5.0, 70.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.run(asyncio.sleep(seconds))

    @rule()
    def quiet(self) -> None:
        """Everybody is there again, and nobody asks for anything."""
        if self.engine.is_away:
            self.engine_begins(0)
        if not self.is_there:
            self.agent_begins(0)
        self.loop.run(asyncio.sleep(QUIET_SECONDS))
        assert self.answers.keys() == self.given.keys(), "an order has no answer"
        started = self.engine.started
        self.is_as_asked()
        self.loop.run(asyncio.sleep(QUIET_SECONDS))
        assert self.engine.started == started
        self.is_as_asked()

    def is_as_asked(self) -> None:
        order, status = self.newest, self.node.told[-1]
        up = [info.name for info in self.engine.running()]
        assert (status.serial, status.desired) == (order.serial, order.desired)
        if order.desired is Desired.REMOVED:
            assert (status.state, self.engine.there()) == (InstanceState.DELETED, [])
        elif order.desired is Desired.STOPPED or order.held is not None:
            assert (status.state, up) == (InstanceState.STOPPED, [])
        elif status.state is InstanceState.READY:
            assert up == self.engine.there() == [self.node.container(status.revision)]
            assert status.revision == order.revision or self.specs[order.revision][0], status
        elif status.state is InstanceState.STOPPED:
            assert (status.reason, up) == (InstanceReason.CLEAN_EXIT, [])
            assert self.ended_well_under == order.serial, status
        else:
            assert (status.state, up) == (InstanceState.FAILED, []), status
            assert self.specs[order.revision][0], status

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.quiet()
            seqs = [status.seq for status in self.node.told]
            assert seqs == sorted(set(seqs)), "the numbers of what is told rise"
        finally:
            if self.is_there:
                self.agent_ends(0)
            self.loop.close()
            shutil.rmtree(self.folder)


@pytest.fixture(autouse=True)
def _ready_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.instance.readiness.SETTLE_SECONDS", 0.0)


def test_any_order_of_things() -> None:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Life, settings=settings(max_examples=40, stateful_step_count=18, deadline=None, suppress_health_check=checks)
    )
