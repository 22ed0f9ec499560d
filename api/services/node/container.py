"""Keeps what nodes report of their containers, and answers what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import ContainerRow, RunRow, StepRow
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.pipeline import Lifetime, StepType
from gamekeeper.domain.run.disposal import Disposal, HeldContainer, Owner, dispose
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepKey, StepState


@dataclass(frozen=True)
class ReportedContainer:
    """A container as its agent reports it. ``ended``: it does not run and will not start by itself."""

    row: ContainerRow
    key: StepKey
    ended: bool
    age: timedelta

    @property
    def held(self) -> HeldContainer:
        return HeldContainer(self.key.try_, self.ended, self.row.lifetime == Lifetime.NODE, self.age)


class ContainerService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(
        self, node_id: str, reported: Sequence[ReportedContainer], run_resources: Sequence[str]
    ) -> tuple[dict[str, Disposal], list[str]]:
        """Keeps the report; what to do with each container by id, and which of the runs have ended."""
        async with self._database.write() as session:
            nodes = NodeRepository(session)
            before = {row.id: (row.status, row.health, row) for row in await nodes.containers(node_id)}
            session.expunge_all()
            await nodes.replace_containers(node_id, [item.row for item in reported])
            runs = RunRepository(session)
            run_ids = {item.key.run_id for item in reported} | set(run_resources)
            known = await runs.find_many(sorted(run_ids))
            gone = [row for row_id, (*_, row) in before.items() if row_id not in {item.row.id for item in reported}]
            steps = await runs.find_steps([item.key for item in reported] + [_key(row) for row in gone])
            for item in reported:
                old = before.get(item.row.id)
                for event in _changes(item, old[:2] if old else None, is_known=item.key.run_id in known):
                    record(session, event)
            for row in gone:
                record(session, _gone(row, steps.get((row.run_id, row.step))))
        disposals = {
            item.row.id: dispose(item.held, _owner(known, steps.get((item.key.run_id, item.key.step))))
            for item in reported
        }
        ended = [run_id for run_id in run_resources if run_id in known and RunState(known[run_id].state).is_final]
        return disposals, ended


def _event(kind: EventKind, row: ContainerRow, message: str = "", reason: str = "") -> Event:
    return Event(
        kind=kind,
        node=row.node_id,
        run=row.run_id,
        step=row.step,
        container=row.name,
        reason=reason,
        message=message,
        data={"id": row.id[:12], "exit_code": row.exit_code, "image": row.image},
    )


def _changes(item: ReportedContainer, before: tuple[str, str] | None, *, is_known: bool) -> Iterator[Event]:
    row = item.row
    if before is None and not is_known:
        yield _event(
            EventKind.CONTAINER_UNKNOWN,
            row,
            "no run of this server owns it; it is kept for a while, then stopped and removed",
        )
    if before is None or before[0] != row.status:
        yield _state(row)
    if before is not None and before[1] != row.health:
        yield _event(EventKind.CONTAINER_HEALTH_CHANGED, row, f"{before[1]} -> {row.health}")


def _state(row: ContainerRow) -> Event:
    kind = EventKind.of_container(row.status)
    return _event(kind, row, f'its state is "{row.status}"' if kind is EventKind.CONTAINER_CHANGED else "")


def _gone(row: ContainerRow, step: StepRow | None) -> Event:
    """Ours go after their step's outcome is known; one that went before was taken by somebody else."""
    is_live = step is not None and step.try_number == row.try_number and not StepState(step.state).is_final
    if is_live and row.exit_code is None:
        return _event(EventKind.CONTAINER_MISSING, row, "the agent no longer sees it, and its step has not ended")
    return _event(EventKind.CONTAINER_REMOVED, row)


def _key(row: ContainerRow) -> StepKey:
    return StepKey(run_id=row.run_id, step=row.step, try_=row.try_number)


def _owner(runs: Mapping[str, RunRow], step: StepRow | None) -> Owner | None:
    if step is None or step.run_id not in runs:
        return None
    run_has_ended = RunState(runs[step.run_id].state).is_final
    return Owner(StepState(step.state), step.try_number, step.type == StepType.SERVICE, run_has_ended)
