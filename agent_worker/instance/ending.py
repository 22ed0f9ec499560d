"""Ends processes rung by rung, and removes what is left of an instance."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_worker.instance import hooks, making
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.instance.memory import Over
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus, EngineFaultError, StartError

if TYPE_CHECKING:
    from agent_worker.instance.kept import Kept

log = get_logger(__name__)

TERM_SECONDS = 5.0
SHOWN_VOLUMES, MAX_WHY = 5, 120
INTERRUPTS = ("^C", "^^C")
TERM = ("SIGTERM", "TERM", "15")


async def stop(kept: Kept, info: ContainerInfo, *, kill: bool, may_hold: bool, save: bool = True) -> None:
    """Ends the process by the ladder, or at once. A hook that fails may hold it instead."""
    if not kill:
        if save and await _is_held(kept, info, may_hold):
            return
        if await _asked(kept, info):
            return
    await kept.tools.engine.signal(info.id, "SIGKILL")
    await _tell(kept, info, "killed" if kill else "it did not end: killed")
    await kept.tools.engine.wait(info.id)


async def _is_held(kept: Kept, info: ContainerInfo, may_hold: bool) -> bool:
    hook = _spec(kept, info).hooks.pre_stop
    if hook is None:
        return False
    await _tell(kept, info, "hook pre_stop")
    failure = await hooks.run_hook(kept, info, hook, "pre_stop")
    if failure is None:
        return False
    if hook.hold and may_hold and kept.order.desired is not Desired.REMOVED:
        await kept.remember(kept.memory.but(held=f"it is not stopped: {failure}", stopping="", restarted=True))
        return True
    await _tell(kept, info, failure)
    return False


async def _asked(kept: Kept, info: ContainerInfo) -> bool:
    """True when the process ended on one of the polite rungs."""
    stop, grace = _spec(kept, info).stop, _spec(kept, info).grace.total_seconds()
    name = stop.signal or info.stop_signal
    if stop.command in INTERRUPTS:
        if info.tty:
            await _type(kept, info, b"\x03")
            await _tell(kept, info, "asked to stop by ^C")
            if await _ended_within(kept, info, min(grace, TERM_SECONDS)):
                return True
        name = "SIGINT"
    elif stop.command is not None and await _type(kept, info, stop.command.encode() + b"\n"):
        await _tell(kept, info, f"asked to stop by {stop.command!r} on its console")
        name = ""
    if name:
        await _tell(kept, info, f"asked to stop by {name}")
        await kept.tools.engine.signal(info.id, name)
    if await _ended_within(kept, info, grace):
        return True
    if name in TERM:
        return False
    await _tell(kept, info, f"it did not end within {grace:g} s: asked by SIGTERM")
    await kept.tools.engine.signal(info.id, "SIGTERM")
    return await _ended_within(kept, info, TERM_SECONDS)


def _spec(kept: Kept, info: ContainerInfo) -> InstanceSpec:
    """The spec of the revision that runs: an update stops the one before by its own words."""
    key, before = info.owner.key if info.owner else None, kept.record.before
    if key == kept.record.order.key:
        return kept.record.order.spec
    if before is not None and (key == before.key or not isinstance(key, InstanceKey)):
        return before.spec
    return kept.order.spec


async def _type(kept: Kept, info: ContainerInfo, data: bytes) -> bool:
    """Types into the process's own console; False where that can't be done."""
    try:
        await kept.tools.engine.type_in(info.id, data)
    except (StartError, UnavailableError) as error:
        log.warning("instance %s: its console takes no input: %s", kept.order.instance, error)
        return False
    return True


async def _ended_within(kept: Kept, info: ContainerInfo, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await kept.tools.engine.wait(info.id)
            return True
    return False


async def _tell(kept: Kept, info: ContainerInfo, message: str) -> None:
    """An instance whose other revision is ready is up, whatever ends beside it."""
    is_last = kept.order.desired is Desired.REMOVED
    state = InstanceState.DELETING if is_last else InstanceState.STOPPING
    ready = kept.sight.ready_beside(info.id, kept.memory.ready) if kept.order.desired is Desired.RUNNING else None
    if ready is not None and kept.order.held is None:
        revision = kept.sight.revision_of(info.id)
        await kept.tell(InstanceState.READY, None, f"revision {revision}: {message}", ready)
    else:
        await kept.tell(state, kept.order.held, message, info)


async def tidy(kept: Kept) -> bool:
    """Removes the ended containers of other revisions once their logs are handed over; True when some are left."""
    there, left, current = {kept.record.order.revision}, False, kept.order.revision
    for info, seen in kept.sight.found:
        if seen.revision == current or info.status is ContainerStatus.RUNNING or kept.order.desired is Desired.STOPPED:
            there.add(seen.revision)
        elif not await _remove_read(kept, info):
            there.add(seen.revision)
            left = True
    revisions = [item for item in kept.memory.revisions if item in there]
    await kept.remember(kept.memory.but(revisions=revisions))  # the others need no look any more
    return left


async def _remove_read(kept: Kept, info: ContainerInfo) -> bool:
    assert info.owner is not None
    logs = kept.tools.logs
    if info.started_at is not None:
        logs.follow(info.owner.key, info.id, until_removed=False)
        if not await logs.drain(info.owner.key, making.DRAIN_SECONDS) or not await logs.is_handed_over(info.owner.key):
            return False
    await kept.tools.engine.remove(info.id)
    if info.owner.key == kept.memory.adopted:
        await kept.remember(kept.memory.but(adopted=None))
    kept.tools.changed()
    return True


async def remove_all(kept: Kept, infos: Sequence[ContainerInfo], leaving: Sequence[ContainerInfo]) -> None:
    """Removes the containers, whose logs are on this node's disk by then, and the volumes where that is asked for.

    What a broken-off order has let go of is ``leaving``, and is waited for, since it has the volumes for that long.
    """
    await kept.tell(InstanceState.DELETING)
    for info in infos:
        assert info.owner is not None
        if info.started_at is not None:
            kept.tools.logs.follow(info.owner.key, info.id, until_removed=False)
            await kept.tools.logs.drain(info.owner.key, making.DRAIN_SECONDS)
        await kept.tools.engine.remove(info.id)
    for info in leaving:
        await kept.tools.engine.remove(info.id)
    stay = await _remove_volumes(kept) if kept.order.volumes else {}
    try:
        await kept.tools.engine.remove_unused_groups()
    except EngineFaultError as error:  # the reaper asks for it again
        log.warning("instance %s: its network stays for now: %s", kept.order.instance, error)
    kept.tools.changed()
    kept.tools.secrets.forget(kept.order.instance)
    over = Over(state=InstanceState.DELETED)
    if stay:
        over = Over(state=over.state, reason=InstanceReason.ENGINE, message=_staying(kept.order.node, stay))
    await kept.remember(kept.memory.but(over=over, revisions=[], adopted=None))


async def _remove_volumes(kept: Kept) -> Mapping[str, str]:
    """Those of its volumes that stay, each with why."""
    orders = [order for order in (kept.record.order, kept.record.before) if order is not None]
    names = {name for order in orders for name in making.own_volumes(order)}
    try:
        return await kept.tools.engine.remove_own_volumes(kept.order.instance, names)
    except EngineFaultError as error:
        return dict.fromkeys(names, str(error))


def _staying(node: str, stay: Mapping[str, str]) -> str:
    shown = sorted(stay)[:SHOWN_VOLUMES]
    whys = [f"volume {name} stays: {stay[name][:MAX_WHY]}" for name in shown]
    more = [f"{len(stay) - len(shown)} more stay"] if len(stay) > len(shown) else []
    return f"{'; '.join(whys + more)}; when nothing has it, on {node}: docker volume rm {' '.join(shown)}"
