"""The keeper's decisions, case by case: the order, the memory, the containers, and the step that follows."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.instance.crash_budget import Crashes
from gamekeeper.domain.instance.keeping import (
    Create,
    Decision,
    FallBack,
    Judge,
    Remove,
    Rest,
    Start,
    Step,
    Stop,
    Wait,
    decide,
)
from gamekeeper.domain.instance.memory import Life, Memory, Over, Seen, StartFacts
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.step import Strategy

NOW = 1000.0
NEW = Seen("c1", 1, Life.NEW)
UP = Seen("c1", 1, Life.UP, "s1")
CRASHED = Seen("c1", 1, Life.ENDED, "s1", exit_code=3)
CLEAN = Seen("c1", 1, Life.ENDED, "s1", exit_code=0)
KILLED_WITH_ENGINE = Seen("c1", 1, Life.ENDED, "s1", exit_code=137, with_engine=True)
KILLED_WITH_MACHINE = Seen("c1", 1, Life.ENDED, "s1", exit_code=255, with_machine=True)
NEXT_NEW = Seen("c2", 2, Life.NEW)
KNOWN = Memory(fresh=False, container_id="c1", begun="s1", ready="s1")
LOOP = Over(state=InstanceState.CRASH_LOOP, reason=InstanceReason.EXIT_CODE, message="often")
FIVE = Crashes(times=[NOW - 5, NOW - 4, NOW - 3, NOW - 2, NOW - 1], total=5)
HELD = Memory(fresh=False, container_id="c1", held="no room")
NEXT_UP = Seen("c2", 2, Life.UP, "s2")
NEXT_CRASHED = Seen("c2", 2, Life.ENDED, "s2", exit_code=3)
ASIDE = StartFacts(hooked="s1", ready="s1", begun="s1")
BESIDE = Memory(fresh=False, container_id="c2", begun="s2", aside=ASIDE)


def order(desired: Desired = Desired.RUNNING, revision: int = 1, policy: str = "on-failure", **fields: Any) -> Any:
    spec = InstanceSpec.model_validate({"container": {"image": "i"}, "restart": {"policy": policy}})
    given = {"instance": "game", "node": "n", "serial": 1, "spec": spec} | fields
    return InstanceOrder(desired=desired, revision=revision, **given)


def beside(policy: str = "on-failure") -> Any:
    return order(revision=2, policy=policy, strategy=Strategy.BLUE_GREEN)


NO_ROOM = Over(state=InstanceState.READY, reason=InstanceReason.HOOK, message="the one before: no room")
STOPPED, REMOVED = Desired.STOPPED, Desired.REMOVED
LOOPED = Rest(LOOP.state, LOOP.reason, "often", None, "c2")
HOLDABLE = Stop("c1", may_hold=True)
NEXT_STOP = Stop("c2", may_hold=True)
CASES: list[tuple[str, InstanceOrder, Memory, list[Seen], Step]] = [
    ("nothing is there", order(), Memory(), [], Create()),
    ("made", order(), Memory(fresh=False), [NEW], Start("c1")),
    ("runs", order(), KNOWN, [UP], Judge("c1")),
    ("runs for a keeper without a memory", order(), Memory(), [UP], Judge("c1")),
    ("crashed once", order(), KNOWN, [CRASHED], Start("c1")),
    (
        "crashed twice",
        order(),
        KNOWN.but(crashes=Crashes(times=[NOW - 1])),
        [CRASHED],
        Wait(InstanceState.RESTARTING, 1),
    ),
    ("waited", order(), KNOWN.but(judged="s1", wait_from=NOW - 2, wait_for=1), [CRASHED], Start("c1")),
    (
        "waits on",
        order(),
        KNOWN.but(judged="s1", wait_from=NOW - 2, wait_for=5),
        [CRASHED],
        Wait(InstanceState.RESTARTING, 3),
    ),
    (
        "crash loop goes on resting",
        order(),
        KNOWN.but(over=LOOP, judged="s1"),
        [CRASHED],
        Rest(LOOP.state, LOOP.reason, "often", None, "c1"),
    ),
    ("crashed, always", order(policy="always"), KNOWN, [CLEAN], Start("c1")),
    ("ended with the engine", order(), KNOWN, [KILLED_WITH_ENGINE], Start("c1")),
    ("ended with the machine", order(), KNOWN, [KILLED_WITH_MACHINE], Start("c1")),
    ("a crash from before the order is none", order(), Memory(), [CRASHED], Start("c1")),
    ("ended by the keeper", order(), KNOWN.but(stopping="s1"), [CRASHED], Start("c1")),
    ("runs and is to restart", order(restart=True), KNOWN, [UP], Stop("c1", may_hold=True)),
    ("runs and has been restarted", order(restart=True), KNOWN.but(restarted=True), [UP], Judge("c1")),
    ("crashed before its restart", order(restart=True), KNOWN, [CRASHED], Start("c1")),
    ("was being stopped when a start came", order(), KNOWN.but(stopping="s1"), [UP], Stop("c1", may_hold=True)),
    ("update: the new one is made first", order(revision=2), Memory(), [UP], Create()),
    (
        "update: then the old one stops",
        order(revision=2),
        Memory(fresh=False),
        [NEXT_NEW, UP],
        Stop("c1", may_hold=True),
    ),
    ("update: then the new one starts", order(revision=2), Memory(fresh=False), [NEXT_NEW, CRASHED], Start("c2")),
    (
        "a hook held the update",
        order(revision=2),
        HELD,
        [NEXT_NEW, UP],
        Rest(InstanceState.READY, InstanceReason.HOOK, "no room", container_id="c1"),
    ),
    ("a third: the one that is not ready ends", order(revision=3), KNOWN, [NEXT_UP, UP], Stop("c2", saves=False)),
    (
        "a third beside: the old one was on its way out",
        order(revision=3, strategy=Strategy.BLUE_GREEN),
        BESIDE.but(ready="s2", stopping="s1"),
        [UP, NEXT_UP],
        Stop("c1"),
    ),
    ("over, and no order is known of what runs", order(revision=2), BESIDE.but(over=LOOP), [UP], FallBack(LOOP, "c1")),
    ("beside: the new one is made first", beside(), Memory(), [UP], Create()),
    ("beside: the new one starts", beside(), KNOWN, [NEXT_NEW, UP], Start("c2")),
    ("beside: it is judged", beside(), BESIDE, [NEXT_UP, UP], Judge("c2")),
    ("beside: it is ready", beside(), BESIDE.but(ready="s2"), [NEXT_UP, UP], Stop("c1", may_hold=True)),
    ("beside: the old one has ended", beside(), BESIDE.but(ready="s2", stopping="s1"), [NEXT_UP, CRASHED], Judge("c2")),
    ("beside: the old one crashed", beside(), BESIDE, [NEXT_UP, CRASHED], Judge("c2")),
    ("beside: the new one crashed", beside(), BESIDE, [NEXT_CRASHED, UP], Start("c2")),
    (
        "beside: it crashed too often",
        beside(),
        BESIDE.but(over=LOOP, judged="s2"),
        [NEXT_CRASHED, UP],
        FallBack(LOOP, UP.id),
    ),
    ("beside: it is over and gone", beside(), BESIDE.but(over=LOOP), [UP], FallBack(LOOP, UP.id)),
    ("beside: both have ended", beside(), BESIDE.but(over=LOOP, judged="s2"), [NEXT_CRASHED, CRASHED], LOOPED),
    ("beside: a hook held the old one", beside(), BESIDE.but(held="no room"), [NEXT_UP, UP], FallBack(NO_ROOM, UP.id)),
    ("beside: held, and crashed", beside(), BESIDE.but(held="no room"), [NEXT_CRASHED, UP], FallBack(NO_ROOM, UP.id)),
    ("beside: the old one was to stop", beside(), BESIDE.but(stopping="s1"), [NEXT_NEW, UP], HOLDABLE),
    ("beside: stopped on its way", beside().model_copy(update={"desired": STOPPED}), BESIDE, [NEXT_UP, UP], NEXT_STOP),
    ("fallen: the new one stops unsaved", order(), BESIDE.fallen(LOOP), [UP, NEXT_UP], Stop("c2", saves=False)),
    (
        "fallen: one that was ready saves",
        order(),
        BESIDE.but(got_ready=True).fallen(NO_ROOM),
        [UP, NEXT_UP],
        Stop("c2"),
    ),
    ("fallen: the old one goes on", order(), BESIDE.fallen(LOOP), [UP, NEXT_CRASHED], Judge("c1")),
    ("stop", order(STOPPED), KNOWN, [UP], Stop("c1", may_hold=True)),
    ("kill", order(STOPPED, kill=True), KNOWN, [UP], Stop("c1", kill=True, may_hold=True)),
    ("stopped", order(STOPPED), KNOWN, [CLEAN], Rest(InstanceState.STOPPED, exit_code=0, container_id="c1")),
    ("stopped and never made", order(STOPPED), Memory(), [], Rest(InstanceState.STOPPED)),
    (
        "a hook held the stop",
        order(STOPPED),
        HELD,
        [UP],
        Rest(InstanceState.READY, InstanceReason.HOOK, "no room", container_id="c1"),
    ),
    ("the node is disabled", order(held=InstanceReason.NODE_DISABLED), KNOWN, [UP], Stop("c1")),
    (
        "the node stays disabled",
        order(held=InstanceReason.NODE_DISABLED),
        KNOWN,
        [CLEAN],
        Rest(InstanceState.STOPPED, InstanceReason.NODE_DISABLED, exit_code=0, container_id="c1"),
    ),
    ("removal stops first", order(REMOVED), KNOWN, [UP], Stop("c1")),
    ("removal", order(REMOVED), KNOWN, [CLEAN], Remove()),
    ("removed", order(REMOVED), KNOWN.but(over=Over(state=InstanceState.DELETED)), [], Rest(InstanceState.DELETED)),
]


@pytest.mark.parametrize(("given", "memory", "seen", "step"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_step(given: InstanceOrder, memory: Memory, seen: list[Seen], step: Step) -> None:
    assert decide(given, memory, seen, NOW).step == step


def test_a_decision_told_again_after_a_kill_is_the_same_or_further() -> None:
    """The memory of a decision was kept, and nothing else was done: the next one goes the same way."""
    for name, given, memory, seen, step in CASES:
        again = decide(given, decide(given, memory, seen, NOW).memory, seen, NOW)
        if not isinstance(step, Stop):
            assert again.step == step, name
        else:
            assert isinstance(again.step, Stop), name


@pytest.mark.parametrize(
    ("given", "seen", "state", "reason"),
    [
        (order(), CLEAN, InstanceState.STOPPED, InstanceReason.CLEAN_EXIT),
        (order(policy="no"), CRASHED, InstanceState.FAILED, InstanceReason.EXIT_CODE),
        (order(policy="no"), KILLED_WITH_ENGINE, InstanceState.STOPPED, InstanceReason.ENGINE),
        (order(policy="no"), KILLED_WITH_MACHINE, InstanceState.STOPPED, InstanceReason.ENGINE),
    ],
)
def test_an_end_for_good_has_its_reason(given: InstanceOrder, seen: Seen, state: Any, reason: Any) -> None:
    decision = decide(given, KNOWN, [seen], NOW)
    assert isinstance(decision.step, Rest)
    assert (decision.step.state, decision.step.reason) == (state, reason)
    assert decision.step.message


@pytest.mark.parametrize(
    ("seen", "words"),
    [(KILLED_WITH_ENGINE, "it ended with Docker"), (KILLED_WITH_MACHINE, "it ended with the machine")],
)
def test_an_end_that_is_no_crash_is_told_with_the_next_start(seen: Seen, words: str) -> None:
    memory = decide(order(), KNOWN, [seen], NOW).memory
    assert (memory.reason, memory.message, memory.crashes.total) == (InstanceReason.ENGINE, words, 0)


def test_too_many_crashes_are_a_loop_and_memory_is_told() -> None:
    seen = Seen("c1", 1, Life.ENDED, "s1", exit_code=137, oom=True)
    step = decide(order(), KNOWN.but(crashes=FIVE), [seen], NOW).step
    assert isinstance(step, Rest)
    assert (step.state, step.reason) == (InstanceState.CRASH_LOOP, InstanceReason.OOM)
    assert "6 crashes within 10m" in step.message
    assert "memory" in step.message


def test_what_was_removed_by_somebody_is_made_again_and_counts() -> None:
    decision = decide(order(), KNOWN, [], NOW)
    assert decision.step == Create()
    assert (decision.memory.crashes.total, decision.memory.reason) == (1, InstanceReason.REMOVED_OUTSIDE)


def test_what_was_gone_with_the_machine_is_no_crash() -> None:
    known = KNOWN.but(boot="one")
    decision = decide(order(), known, [], NOW, "two")
    assert decision.step == Create()
    assert (decision.memory.crashes.total, decision.memory.reason) == (0, InstanceReason.REMOVED_OUTSIDE)
    assert decide(order(), known, [], NOW, "one").memory.crashes.total == 1


def test_what_was_gone_with_the_machine_is_not_made_again_against_its_policy() -> None:
    decision = decide(order(policy="no"), KNOWN.but(boot="one"), [], NOW, "two")
    assert isinstance(decision.step, Rest)
    assert (decision.step.state, decision.step.reason) == (InstanceState.FAILED, InstanceReason.REMOVED_OUTSIDE)
    assert "restart policy is no" in decision.step.message
    assert decide(order(policy="no"), decision.memory.but(boot="two"), [], NOW, "two").step == decision.step


def test_the_revision_before_goes_on_as_it_was() -> None:
    """Its start is neither hooked nor judged anew, whatever came of the one beside it."""
    started = decide(beside(), KNOWN.but(hooked="s1"), [NEXT_NEW, UP], NOW).memory
    fallen = started.but(hooked="s2", begun="s2", crashes=FIVE, wait_for=60.0).fallen(LOOP)
    assert (fallen.hooked, fallen.begun, fallen.ready, fallen.fall) == ("s1", "s1", "s1", LOOP)
    assert (fallen.crashes.total, fallen.wait_for, fallen.aside) == (0, 0.0, None)


def test_one_that_ended_by_itself_beside_the_other_is_given_up() -> None:
    ended = Seen("c2", 2, Life.ENDED, "s2", exit_code=0)
    step = decide(beside(), BESIDE, [ended, UP], NOW).step
    assert isinstance(step, FallBack)
    assert step.why.reason is InstanceReason.CLEAN_EXIT


def test_each_end_is_judged_once() -> None:
    first: Decision = decide(order(), KNOWN, [CRASHED], NOW)
    second = decide(order(), first.memory, [CRASHED], NOW)
    assert first.memory.crashes.total == second.memory.crashes.total == 1
