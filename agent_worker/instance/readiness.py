"""Judges whether what was started gets ready, with its hook after the start and within the revision's time."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from agent_worker.instance import ending, hooks
from agent_worker.instance.sight import start_of
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.instance.crash_budget import left_of
from gamekeeper.domain.instance.memory import Over
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, Health

if TYPE_CHECKING:
    from agent_worker.instance.kept import Kept

SETTLE_SECONDS = 1.0  # without a health check it is ready when it has stayed up for so long
LOOK_SECONDS = 1.0  # where no event comes before
CLOCK_SECONDS = 5.0  # a clock that was set back by more must not hold it up


async def judge(kept: Kept, info: ContainerInfo) -> float:
    """Takes one look; returns the seconds until the next one. Events bring it sooner."""
    start = start_of(info)
    assert info.owner is not None
    kept.tools.logs.follow(info.owner.key, info.id, until_removed=True)
    if kept.memory.ready != start:
        if isinstance(info.owner.key, StepKey):  # it was a service under the engine's restart policy
            await kept.tools.engine.never_restart(info.id)
        if kept.memory.begun != start:
            await kept.remember(kept.memory.but(begun=start, begun_at=kept.tools.steady()))
        if not kept.is_told_starting(info.id):
            await kept.tell(InstanceState.STARTING, kept.memory.reason, kept.memory.message, info)
        if (failure := await hooks.after_start(kept, info, start)) is not None:
            await _refuse(kept, info, start, InstanceReason.HOOK, failure)
            return 0.0
        if (left := _settle_left(info, kept.sight.at)) > 0:
            return await _not_ready(kept, info, start, left)
        await kept.remember(kept.memory.but(ready=start, got_ready=True, reason=None, message=""))
        if kept.memory.aside is not None:
            return 0.0  # the revision before stops first
    await kept.remember(kept.memory.but(got_ready=True))  # also of a start from before the order
    await _tell_ready(kept, info)
    return await kept.rested()


async def _not_ready(kept: Kept, info: ContainerInfo, start: str, left: float) -> float:
    limit = left_of(kept.memory.begun_at, kept.order.spec.ready_within.total_seconds(), kept.tools.steady())
    if limit > 0:
        return min(left, limit)
    words = f"it was not ready within {kept.order.spec.ready.within}{_trouble(info)}"
    await _refuse(kept, info, start, InstanceReason.UNHEALTHY, words)
    return 0.0


def _settle_left(info: ContainerInfo, seen_at: datetime) -> float:
    """Seconds until it may be ready; 0 when it is. It counts how long it was up when it was seen: since then a hook may
    have run for minutes, and the process may have ended."""
    if info.status is not ContainerStatus.RUNNING:
        return LOOK_SECONDS
    if info.health is not Health.NONE:
        return 0.0 if info.health is Health.HEALTHY else LOOK_SECONDS
    up = (seen_at - info.started_at).total_seconds() if info.started_at else 0.0
    return SETTLE_SECONDS - up if up > -CLOCK_SECONDS else 0.0


def _trouble(info: ContainerInfo) -> str:
    return f"; its health check fails: {info.health_log}" if info.health_log else ""


async def _tell_ready(kept: Kept, info: ContainerInfo) -> None:
    if info.health is Health.UNHEALTHY:
        words = f"its health check fails: {info.health_log or 'it says nothing'}"
        await kept.tell(InstanceState.READY, InstanceReason.UNHEALTHY, words, info, settled=True)
    elif kept.memory.held:
        await kept.tell(InstanceState.READY, InstanceReason.HOOK, kept.memory.held, info, settled=True)
    else:
        await kept.tell(InstanceState.READY, None, "", info, settled=True)


async def _refuse(kept: Kept, info: ContainerInfo, start: str, reason: InstanceReason, text: str) -> None:
    """The order has failed: what did not get ready is stopped, and stays so. The one before goes on, if it runs."""
    over = Over(state=InstanceState.FAILED, reason=reason, message=text)
    if await kept.fell_back(over):
        return
    await kept.remember(kept.memory.but(over=over, stopping=start))
    await ending.stop(kept, info, kill=kept.order.kill, may_hold=False, save=False)
