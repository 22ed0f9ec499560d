"""The other wish at a stop: ``--stop-containers``. Without it a stopping agent leaves every container running.

The agent takes no new steps, ends its containers, and stays until the steps' outcomes and logs are handed over. So a
machine that is shut down leaves runs that ended, and no runs that wait for a node.
"""

from __future__ import annotations

import asyncio

from agent_worker.bootstrap import Agent
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerInfo, ContainerStatus

log = get_logger(__name__)

GRACE_SECONDS = 10.0
HAND_OVER_SECONDS = 30.0
_RUNNING = (ContainerStatus.RUNNING, ContainerStatus.PAUSED, ContainerStatus.RESTARTING)


async def stop_containers(agent: Agent, workers: asyncio.Task[object]) -> None:
    """``workers`` are being cancelled, and give their steps HAND_OVER_SECONDS to end by themselves."""
    workers.cancel()
    try:
        await agent.instances.keeper.stop_all(GRACE_SECONDS)
        await _stop_all(agent)
        await asyncio.wait({workers}, timeout=HAND_OVER_SECONDS)
        await _stop_all(agent)  # one that a step began while the workers were ending
        async with asyncio.timeout(HAND_OVER_SECONDS):
            await _hand_over_logs(agent)
    except TimeoutError:
        log.warning("not every log was handed over; the rest waits on disk for the next start")
    except GamekeeperError as error:
        log.error("containers are left running: %s", error)


async def _stop_all(agent: Agent) -> None:
    running = [info for info in await agent.engines.masked.list_owned() if info.status in _RUNNING]
    if running:
        log.info("stopping %d containers", len(running))
    await asyncio.gather(*[_stop(agent, info) for info in running])


async def _stop(agent: Agent, info: ContainerInfo) -> None:
    if info.owner is not None and info.owner.lifetime == "run":
        agent.follower.follow(info.owner.key, info.id, until_removed=False)
    try:
        await agent.engines.masked.stop(info.id, GRACE_SECONDS)
    except GamekeeperError as error:
        log.error("container %s is left running: %s", info.name, error)


async def _hand_over_logs(agent: Agent) -> None:
    infos = await agent.engines.masked.list_owned()
    keys = [info.owner.key for info in infos if info.owner is not None and info.owner.lifetime == "run"]
    await asyncio.gather(*[agent.follower.drain(key, HAND_OVER_SECONDS) for key in keys])
    while agent.spool.held_bytes and agent.link.connected.is_set():
        await asyncio.sleep(0.1)
