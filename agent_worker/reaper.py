"""Reports the node's containers and carries out the control plane's answers: the last step of a container's life.

A container goes only when its outcome is in the read model and its log is acknowledged. The report also finds
containers that no live run owns (after a crash, a lost cancel, a node that was away), at the start and every minute.
"""

from __future__ import annotations

import asyncio
import time

from agent_worker.journal import SqliteJournal
from agent_worker.logs.spool import Spool
from agent_worker.node_link.session import Link
from gamekeeper.backoff import jittered
from gamekeeper.domain.run.step import StepKey
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine, ContainerInfo, ContainerStatus
from gamekeeper.ports.node_agent import StepLogs
from gamekeeper.rpc.convert import key_to_pb, time_to_ms
from gamekeeper.rpc.v1 import node_link_pb2 as pb

log = get_logger(__name__)

PERIOD_SECONDS = 60.0
SETTLE_SECONDS = 1.0
STOP_GRACE_SECONDS = 10.0
DRAIN_SECONDS = 10.0
_ENDED = (ContainerStatus.EXITED, ContainerStatus.DEAD, ContainerStatus.CREATED)


class Reaper:
    """Containers port for the activities: ``changed`` asks for a report soon."""

    def __init__(
        self, engine: ContainerEngine, link: Link, spool: Spool, journal: SqliteJournal, logs: StepLogs
    ) -> None:
        self._engine = engine
        self._link = link
        self._spool = spool
        self._journal = journal
        self._logs = logs
        self._asked = asyncio.Event()

    def changed(self) -> None:
        self._asked.set()

    async def run_forever(self) -> None:
        delay = SETTLE_SECONDS
        await self._sweep()
        while True:
            await self._link.connected.wait()
            self._asked.clear()
            try:
                again = await self._round()
            except GamekeeperError as error:
                log.warning("containers are not reported: %s", error)
                again = True
            # Ended containers wait for their outcome to be recorded or their log to be kept: look again soon.
            delay = min(delay * 2, PERIOD_SECONDS) if again else PERIOD_SECONDS
            try:
                async with asyncio.timeout(jittered(delay)):
                    await self._asked.wait()
                await asyncio.sleep(SETTLE_SECONDS)
                delay = SETTLE_SECONDS
            except TimeoutError:
                continue

    async def _sweep(self) -> None:
        try:
            await self._engine.sweep_consoles()
        except GamekeeperError as error:
            log.warning("what old consoles left stays: %s", error)

    async def _round(self) -> bool:
        """One report and its verdicts; True when another is due soon: ended containers are here, or some have gone."""
        infos = {info.id: info for info in await self._engine.list_owned()}
        resources = await self._engine.list_run_resources()
        answer = await self._link.calls.report_containers(
            pb.ReportContainersRequest(containers=[_to_pb(info) for info in infos.values()], run_resources=resources)
        )
        again = False
        for verdict in answer.verdicts:
            info = infos.get(verdict.id)
            if info is not None and info.owner is not None:
                gone = await self._carry_out(info, info.owner.key, verdict.verdict)
                again = again or gone or (info.status in _ENDED and info.owner.lifetime == "run")
        for run_id in answer.ended_runs:
            await self._engine.remove_run_resources(run_id)
        return again

    async def _carry_out(self, info: ContainerInfo, key: StepKey, verdict: int) -> bool:
        """True when the container is gone."""
        if verdict == pb.VERDICT_KEEP:
            return False
        if verdict == pb.VERDICT_STOP:
            log.warning("container %s has no live owner: stopping it", info.name)
            self._logs.follow(key, info.id, until_removed=False)
            await self._engine.stop(info.id, STOP_GRACE_SECONDS)
            await self._logs.drain(key, DRAIN_SECONDS)
        elif info.status is not ContainerStatus.CREATED:
            self._logs.follow(key, info.id, until_removed=False)  # does nothing when it is read to its end
            await self._logs.drain(key, DRAIN_SECONDS)
        if not await asyncio.to_thread(self._spool.is_settled, key):
            return False
        await self._engine.remove(info.id)
        await asyncio.to_thread(self._spool.forget, key)
        await asyncio.to_thread(self._journal.forget, key)
        return True


def _to_pb(info: ContainerInfo) -> pb.Container:
    assert info.owner is not None
    created = info.created_at.timestamp() if info.created_at else time.time()
    return pb.Container(
        id=info.id,
        name=info.name,
        image=info.image,
        status=info.status.value,
        health=info.health.value,
        key=key_to_pb(info.owner.key),
        pipeline=info.owner.pipeline,
        lifetime=info.owner.lifetime,
        exit_code=info.exit_code or 0,
        ended=info.status in _ENDED,
        ports=info.ports,
        started_at_ms=time_to_ms(info.started_at),
        age_ms=max(0, int((time.time() - created) * 1000)),
    )
