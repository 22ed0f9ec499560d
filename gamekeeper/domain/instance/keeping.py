"""The decisions of the keeper of an instance: what is to be done next, by the order, the containers and its memory.

Pure. A decision holds what the keeper is to remember before it does anything, so that a kill in between changes
nothing: after it the same question has an answer that does nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gamekeeper.domain.instance.crash_budget import left_of, span_of
from gamekeeper.domain.instance.memory import Life, Memory, Over, Seen
from gamekeeper.domain.instance.order import InstanceOrder
from gamekeeper.domain.instance.spec import RestartPolicy
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.lifetime import Strategy


@dataclass(frozen=True)
class Create:
    """Make the container of the order's revision."""


@dataclass(frozen=True)
class Start:
    container_id: str


@dataclass(frozen=True)
class Stop:
    """``saves`` runs the hook before a stop; what never was ready has nothing to save."""

    container_id: str
    kill: bool = False
    may_hold: bool = False
    saves: bool = True


@dataclass(frozen=True)
class Judge:
    """See to it that what runs gets ready."""

    container_id: str


@dataclass(frozen=True)
class FallBack:
    """Give the order up: the revision before, ``container_id``, runs beside it, and goes on."""

    why: Over
    container_id: str


@dataclass(frozen=True)
class Remove:
    """Remove all that is left of the instance."""


@dataclass(frozen=True)
class Wait:
    """Do nothing for so long."""

    state: InstanceState
    seconds: float


@dataclass(frozen=True)
class Rest:
    """Nothing is to be done until something changes."""

    state: InstanceState
    reason: InstanceReason | None = None
    message: str = ""
    exit_code: int | None = None
    container_id: str = ""


Step = Create | Start | Stop | Judge | FallBack | Remove | Wait | Rest


@dataclass(frozen=True)
class Decision:
    memory: Memory
    step: Step


def decide(order: InstanceOrder, memory: Memory, seen: Sequence[Seen], now: float, boot: str = "") -> Decision:
    """``order`` is the one to keep up: that of the revision before, where the memory says so. ``boot`` names the
    machine's present life."""
    if order.desired is Desired.REMOVED:
        return _removed(order, memory, seen)
    if order.desired is Desired.STOPPED or order.held is not None:
        return _down(order, memory, seen)
    return _wished_up(order, memory, seen, now, boot)


def _wished_up(order: InstanceOrder, memory: Memory, seen: Sequence[Seen], now: float, boot: str) -> Decision:
    current = next((item for item in seen if item.revision == order.revision), None)
    others = [item for item in seen if item.revision != order.revision]
    if memory.fresh:  # an end from before the order says nothing of it
        is_over = current is not None and current.life is Life.ENDED
        memory = memory.but(fresh=False, judged=current.start if is_over and current else memory.judged)
    ups = [item for item in others if item.life is Life.UP]
    other = next((item for item in ups if item.start == memory.ready), ups[0] if ups else None)
    if other is None:
        memory = memory.but(aside=None)
    if (third := next((item for item in ups if item is not other), None)) is not None:
        return _third(order, memory, third)
    if current is None:
        return _missing(order, memory, other, now, boot)
    memory = memory.but(container_id=current.id)
    if current.life is Life.UP:
        return _up(order, memory, current, other)
    if current.life is Life.ENDED and memory.judged != current.start:
        memory = _judged_end(order, memory, current, now)
    return _started(order, memory, current, other, now)


def _third(order: InstanceOrder, memory: Memory, third: Seen) -> Decision:
    """An earlier change broke off with both of its revisions up. The one that is not ready ends first."""
    saves = memory.aside is not None and memory.aside.ready == third.start
    return Decision(memory.but(stopping=third.start), Stop(third.id, order.kill, saves=saves))


def _comes_beside(order: InstanceOrder, memory: Memory, other: Seen) -> bool:
    """True while the revision that runs is left alone until the order's is ready."""
    return order.strategy is Strategy.BLUE_GREEN and memory.stopping != other.start


def _given_up(memory: Memory, other: Seen | None, container_id: str = "") -> Decision:
    """The order is over. Where the one before still runs beside it, that one goes on."""
    assert memory.over is not None
    if other is not None:
        return Decision(memory, FallBack(memory.over, other.id))
    return Decision(memory, _rest(memory.over, container_id))


def _removed(order: InstanceOrder, memory: Memory, seen: Sequence[Seen]) -> Decision:
    up = next((item for item in seen if item.life is Life.UP), None)
    memory = memory.but(fresh=False)
    if up is not None:
        return Decision(memory.but(stopping=up.start), Stop(up.id, order.kill))
    if memory.over is not None and not seen:
        return Decision(memory, _rest(memory.over))
    return Decision(memory, Remove())


def _down(order: InstanceOrder, memory: Memory, seen: Sequence[Seen]) -> Decision:
    memory = memory.but(fresh=False)
    up = next((item for item in seen if item.life is Life.UP), None)
    if up is not None and memory.held:
        return Decision(memory, Rest(InstanceState.READY, InstanceReason.HOOK, memory.held, container_id=up.id))
    if up is not None:
        return Decision(memory.but(stopping=up.start), Stop(up.id, order.kill, may_hold=order.held is None))
    last = max((item for item in seen if item.life is Life.ENDED), key=lambda item: item.start, default=None)
    if last is not None:
        memory = memory.but(judged=last.start)
    exit_code = last.exit_code if last else None
    return Decision(
        memory, Rest(InstanceState.STOPPED, order.held, exit_code=exit_code, container_id=last.id if last else "")
    )


def _missing(order: InstanceOrder, memory: Memory, other: Seen | None, now: float, boot: str) -> Decision:
    """The revision has no container (any more)."""
    if memory.over is not None:
        return _given_up(memory, other)
    if memory.container_id:
        if memory.boot not in ("", boot):
            memory = _lost(memory, order.spec.restart.policy)
        else:
            text = "its container was removed by somebody else"
            memory = _after_crash(order, memory, now, InstanceReason.REMOVED_OUTSIDE, text, None)
        memory = memory.but(container_id="")
        if memory.over is not None:
            return _given_up(memory, other)
    if wait := left_of(memory.wait_from, memory.wait_for, now):
        return Decision(memory, Wait(_waiting_state(memory), wait))
    return Decision(memory, Create())


def _up(order: InstanceOrder, memory: Memory, current: Seen, other: Seen | None) -> Decision:
    if memory.held and other is not None and order.strategy is Strategy.BLUE_GREEN:
        return Decision(memory, FallBack(_held(memory), other.id))
    if memory.held:
        return Decision(memory, Rest(InstanceState.READY, InstanceReason.HOOK, memory.held, container_id=current.id))
    if order.restart and not memory.restarted and memory.stopping != current.start:
        return Decision(memory.but(stopping=current.start), Stop(current.id, order.kill, may_hold=True))
    if memory.stopping == current.start:  # it was asked to end, and by now another order wants it up
        return Decision(memory, Stop(current.id, order.kill, may_hold=True))
    if other is not None and memory.ready != current.start and _comes_beside(order, memory, other):
        return Decision(memory.but(restarted=True, over=None), Judge(current.id))
    if other is not None:
        may_hold, saves = order.strategy is Strategy.BLUE_GREEN, memory.fall is None or memory.got_ready
        return Decision(memory.but(stopping=other.start), Stop(other.id, order.kill, may_hold, saves))
    return Decision(memory.but(restarted=True, over=None), Judge(current.id))


def _held(memory: Memory) -> Over:
    return Over(state=InstanceState.READY, reason=InstanceReason.HOOK, message=f"the one before: {memory.held}")


def _judged_end(order: InstanceOrder, memory: Memory, ended: Seen, now: float) -> Memory:
    """Judges a new end. One that the keeper, the engine or the machine brought about is no crash."""
    memory = memory.but(judged=ended.start)
    is_asked = memory.stopping == ended.start or (order.restart and not memory.restarted)
    if memory.over is not None or is_asked:
        return memory
    policy = order.spec.restart.policy
    if ended.with_engine or ended.with_machine:
        return _ended_with(memory, "the machine" if ended.with_machine else "Docker", policy)
    if ended.exit_code == 0 and not ended.oom and policy is not RestartPolicy.ALWAYS:
        text = "it ended by itself, exit code 0"
        return memory.but(
            over=Over(state=InstanceState.STOPPED, reason=InstanceReason.CLEAN_EXIT, message=text, exit_code=0)
        )
    reason = InstanceReason.OOM if ended.oom else InstanceReason.EXIT_CODE
    text = f"it ended with exit code {ended.exit_code}"
    if ended.oom:
        text = "out of memory: raise deploy.resources.limits.memory"
    return _after_crash(order, memory, now, reason, text, ended.exit_code)


def _ended_with(memory: Memory, what: str, policy: RestartPolicy) -> Memory:
    """The next start tells why it came about."""
    text = f"it ended with {what}"
    if policy is RestartPolicy.NO:
        words = f"{text}, and its restart policy is no"
        return memory.but(over=Over(state=InstanceState.STOPPED, reason=InstanceReason.ENGINE, message=words))
    return memory.but(reason=InstanceReason.ENGINE, message=text)


def _lost(memory: Memory, policy: RestartPolicy) -> Memory:
    """A power cut may cost the engine a container: no crash, but what it wrote beside its volumes is gone."""
    text = "its container was gone when the machine came back: Docker lost it, or somebody removed it"
    if policy is RestartPolicy.NO:
        words = f"{text}, and its restart policy is no"
        return memory.but(over=Over(state=InstanceState.FAILED, reason=InstanceReason.REMOVED_OUTSIDE, message=words))
    return memory.but(reason=InstanceReason.REMOVED_OUTSIDE, message=text)


def _after_crash(
    order: InstanceOrder, memory: Memory, now: float, reason: InstanceReason, text: str, exit_code: int | None
) -> Memory:
    attempts = int(order.spec.restart.attempts)
    crashes = memory.crashes.and_one(now, span_of(order.spec.crash_window.total_seconds(), attempts))
    over = None
    if order.spec.restart.policy is RestartPolicy.NO:
        over = Over(state=InstanceState.FAILED, reason=reason, message=text, exit_code=exit_code)
    elif crashes.are_too_many(attempts):
        words = f"{len(crashes.times)} crashes within {order.spec.restart.window}; {text}"
        over = Over(state=InstanceState.CRASH_LOOP, reason=reason, message=words, exit_code=exit_code)
    return memory.but(
        crashes=crashes, over=over, wait_from=now, wait_for=crashes.delay, reason=reason, message=text, faults=0
    )


def _started(order: InstanceOrder, memory: Memory, current: Seen, other: Seen | None, now: float) -> Decision:
    """The container is there and does not run."""
    if memory.over is not None:
        return _given_up(memory, other, current.id)
    if other is not None and memory.held:
        if order.strategy is Strategy.BLUE_GREEN:
            return Decision(memory, FallBack(_held(memory), other.id))
        return Decision(memory, Rest(InstanceState.READY, InstanceReason.HOOK, memory.held, container_id=other.id))
    if other is not None and not _comes_beside(order, memory, other):
        return Decision(memory.but(stopping=other.start), Stop(other.id, order.kill, may_hold=True))
    if wait := left_of(memory.wait_from, memory.wait_for, now):
        return Decision(memory, Wait(_waiting_state(memory), wait))
    if other is not None:
        memory = memory.but(aside=memory.aside or memory.facts)
    tried_from = now if memory.tried_from is None else memory.tried_from
    return Decision(memory.but(restarted=True, tried_from=tried_from), Start(current.id))


def ready_left(order: InstanceOrder, memory: Memory, now: float) -> float | None:
    """Seconds that are left for the order to get ready; None where nothing was started, or it got ready."""
    if memory.tried_from is None or memory.got_ready:
        return None
    return left_of(memory.tried_from, order.spec.ready_within.total_seconds(), now)


def _waiting_state(memory: Memory) -> InstanceState:
    """A process that crashed is started again; what never ran is still being prepared."""
    return InstanceState.PREPARING if memory.faults else InstanceState.RESTARTING


def _rest(over: Over, container_id: str = "") -> Rest:
    return Rest(over.state, over.reason, over.message, over.exit_code, container_id)
