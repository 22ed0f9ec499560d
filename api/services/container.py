"""What nodes report of their containers, and what is to become of each: every container has one owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from gamekeeper.db.engine import Database
from gamekeeper.db.models import ContainerRow, RunRow, StepRow
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.run import RunState
from gamekeeper.domain.step import StepKey, StepState

ORPHAN_GRACE = timedelta(minutes=10)


class Disposal(StrEnum):
    KEEP = "keep"
    REMOVE = "remove"
    STOP = "stop"


@dataclass(frozen=True)
class ReportedContainer:
    """A container as its agent reports it. ``ended``: it does not run and will not start by itself."""

    row: ContainerRow
    key: StepKey
    ended: bool
    age: timedelta


class ContainerService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(
        self, node_id: str, reported: Sequence[ReportedContainer], run_resources: Sequence[str]
    ) -> tuple[dict[str, Disposal], list[str]]:
        """Keeps the report; what to do with each container by id, and which of the runs have ended."""
        async with self._database.write() as session:
            await NodeRepository(session).replace_containers(node_id, [item.row for item in reported])
            runs = RunRepository(session)
            run_ids = {item.key.run_id for item in reported} | set(run_resources)
            known = await runs.find_many(sorted(run_ids))
            steps = await runs.find_steps([item.key for item in reported])
        disposals = {
            item.row.id: decide(item, known.get(item.key.run_id), steps.get((item.key.run_id, item.key.step)))
            for item in reported
        }
        ended = [run_id for run_id in run_resources if run_id in known and RunState(known[run_id].state).is_final]
        return disposals, ended


def decide(item: ReportedContainer, run: RunRow | None, step: StepRow | None) -> Disposal:
    """An instance (lifetime node) is never touched here. A run that is not known may be one that this database
    lost, so its containers get a long grace, and are only removed, not guessed about."""
    if run is None or step is None:
        if item.row.lifetime == "node" or item.age < ORPHAN_GRACE:
            return Disposal.KEEP
        return Disposal.REMOVE if item.ended else Disposal.STOP
    if step.try_number < item.key.try_:
        return Disposal.KEEP  # the read model is behind
    over = step.try_number > item.key.try_ or StepState(step.state).is_final
    succeeded = step.try_number == item.key.try_ and step.state == StepState.SUCCEEDED.value
    if step.type == "service" and succeeded:
        if item.row.lifetime == "node":
            return Disposal.KEEP
        over = RunState(run.state).is_final
    if not over:
        return Disposal.KEEP
    return Disposal.REMOVE if item.ended else Disposal.STOP
