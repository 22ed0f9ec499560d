"""Reports the node's containers and carries out the control plane's answers: the last step of a container's life.

A container goes only when its outcome is in the read model and its log is acknowledged. The report also finds
containers that no live run owns (after a crash, a lost cancel, a node that was away), at the start and every minute.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from agent_worker.journal import SqliteJournal
from agent_worker.logs.spool import Spool
from agent_worker.node_link.session import Link
from agent_worker.removals import ENDED, Removals
from gamekeeper.backoff import jittered
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine, ContainerInfo
from gamekeeper.ports.node_agent import StepLogs
from gamekeeper.rpc.convert import key_to_pb, step_key_from_pb, time_to_ms
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.supervised import Supervised

log = get_logger(__name__)

PERIOD_SECONDS = 60.0
SETTLE_SECONDS = 1.0
IDLE_SECONDS = 600.0
MAX_TRIES = 200


class KeptInstances(Protocol):
    """The keeper, as far as it matters which containers and logs are its business."""

    def keeps(self, instance: str) -> bool: ...

    def adopts(self, key: StepKey) -> bool: ...


class Reaper:
    """Containers port for the activities: ``changed`` asks for a report soon."""

    def __init__(
        self, engine: ContainerEngine, link: Link, spool: Spool, journal: SqliteJournal, logs: StepLogs
    ) -> None:
        self._engine = engine
        self._link = link
        self._spool = spool
        self._journal = journal
        self.care = Supervised("the report of containers")
        self._asked = asyncio.Event()
        self._unknown: dict[str, float] = {}
        self.instances: KeptInstances | None = None
        self._removals = Removals(engine, spool, journal, logs, self.changed)

    def changed(self) -> None:
        self._asked.set()

    async def run_forever(self) -> None:
        delay = SETTLE_SECONDS
        self._engine.on_change(self.changed)
        await self._sweep()
        while True:
            await self._until_connected()
            self._asked.clear()
            try:
                again = await self._round()
                self.care.succeeded()
            except GamekeeperError as error:
                self.care.failed(error)
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
        await self._go_on_with_mounts()

    async def _until_connected(self) -> None:
        """Without a control plane nothing is reported. Containers have their sockets all the same, also those that the
        engine starts after this agent, or that it starts again."""
        delay = SETTLE_SECONDS
        while not self._link.connected.is_set():
            try:
                async with asyncio.timeout(jittered(delay)):
                    await self._link.connected.wait()
            except TimeoutError:
                await self._go_on_with_mounts()
                delay = min(delay * 2, PERIOD_SECONDS)

    async def _go_on_with_mounts(self) -> None:
        try:
            await self._engine.release_host_folders()
        except GamekeeperError as error:
            log.warning("the mounts of an earlier agent are not looked at: %s", error)

    async def _round(self) -> bool:
        """One report and its verdicts; True when another is due soon, because ended containers are to go."""
        settled = await asyncio.to_thread(self._spool.settled_keys)  # first: their containers are older than the list
        infos = {info.id: info for info in await self._engine.list_owned() if info.owner is not None}
        here = {info.owner.key for info in infos.values() if info.owner is not None}
        self._removals.keep_only(infos)
        tries = await asyncio.to_thread(self._journal.idle_tries, time.time() - IDLE_SECONDS)
        answer = await self._link.calls.report_containers(
            pb.ReportContainersRequest(
                containers=[_to_pb(info, self._removals.problem(info.id)) for info in infos.values()],
                run_resources=await self._engine.list_run_resources(),
                tries=[key_to_pb(key) for key in tries if key not in here][:MAX_TRIES],
            )
        )
        again = False
        for verdict in answer.verdicts:
            info = infos.get(verdict.id)
            if info is None or info.owner is None:
                continue
            if self._is_kept(info.owner.key):
                continue
            if verdict.verdict != pb.VERDICT_KEEP:
                self._removals.begin(info, info.owner.key, runs=verdict.verdict == pb.VERDICT_STOP)
            again = again or (info.status in ENDED and info.owner.lifetime == "run")
        await self._remove_resources(answer)
        ended = [key for key in settled if key not in here and not self._is_kept(key)]
        await asyncio.to_thread(self._forget, ended, list(answer.over))
        return again

    def _is_kept(self, key: ContainerKey) -> bool:
        """True for what is the keeper's business: containers that became an instance's, and logs that may go on."""
        if self.instances is None:
            return isinstance(key, InstanceKey)
        if isinstance(key, InstanceKey):
            return self.instances.keeps(key.instance)
        return self.instances.adopts(key)

    async def _remove_resources(self, answer: pb.ReportContainersResponse) -> None:
        """Networks and volumes of ended runs, and of runs that were unknown for long: a database may come back."""
        now = time.monotonic()
        self._unknown = {run_id: self._unknown.get(run_id, now) for run_id in answer.unknown_runs}
        for run_id in [
            *answer.ended_runs,
            *(run for run, since in self._unknown.items() if now - since > IDLE_SECONDS),
        ]:
            await self._engine.remove_run_resources(run_id)
        await self._engine.remove_unused_groups()
        await self._engine.release_host_folders()

    def _forget(self, logs: list[ContainerKey], over: list[pb.ContainerKey]) -> None:
        """Drops what nobody will ask for again: logs that are handed over, and tries that no delivery can come for."""
        for key in logs:
            self._spool.forget(key)
        for message in over:
            self._journal.forget(step_key_from_pb(message))


def _to_pb(info: ContainerInfo, problem: str) -> pb.Container:
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
        ended=info.status in ENDED,
        ports=info.ports,
        started_at_ms=time_to_ms(info.started_at),
        age_ms=max(0, int((time.time() - created) * 1000)),
        restart_count=info.restart_count,
        finished_at_ms=time_to_ms(info.finished_at),
        problem=problem,
        last_exit_code=info.last_exit_code,
    )
