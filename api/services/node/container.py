"""Keeps what nodes report of their containers, and answers what becomes of each.

A container's labels are whatever somebody on the node wrote. So a report touches runs with a step on that node and no
others, and of the containers that no such run owns only so many are kept: a node can make up any number of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.services.bucket import Bucket
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import ContainerRow, RunRow, StepRow
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.step import Lifetime, StepType
from gamekeeper.domain.run.disposal import Disposal, HeldContainer, Owner, dispose
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.service_trouble import ServiceFacts, service_trouble
from gamekeeper.domain.run.step import StepState

MAX_UNOWNED = 100  # of one node that are kept; each gets its verdict all the same
UNOWNED_EVENTS_PER_SECOND = 0.2
UNOWNED_EVENTS_AT_ONCE = 300.0


@dataclass(frozen=True)
class ReportedContainer:
    """A container as its agent reports it. ``ended``: it does not run and will not start by itself."""

    row: ContainerRow
    key: StepKey
    ended: bool
    age: timedelta
    last_exit_code: int | None = None
    finished_at: datetime | None = None

    @property
    def held(self) -> HeldContainer:
        return HeldContainer(self.key.try_, self.ended, self.row.lifetime == Lifetime.NODE, self.age)

    @property
    def facts(self) -> ServiceFacts:
        row = self.row
        code = row.exit_code if row.exit_code is not None else self.last_exit_code
        return ServiceFacts(row.status, row.health, code, row.restart_count, self.finished_at)


@dataclass(frozen=True)
class Report:
    """All that a node tells at once. ``run_resources`` are runs of which it has a network or a volume, ``tries`` those
    that it remembers without having a container of them."""

    containers: Sequence[ReportedContainer]
    run_resources: Sequence[str] = ()
    tries: Sequence[StepKey] = ()


@dataclass(frozen=True)
class ReportAnswer:
    """The disposal of each container by its id, the runs whose resources may go, the tries that may be forgotten."""

    disposals: Mapping[str, Disposal]
    ended_runs: Sequence[str]
    unknown_runs: Sequence[str]
    over: Sequence[StepKey]


class ContainerService:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._unowned_events: dict[str, Bucket] = {}

    async def report(self, node_id: str, report: Report) -> ReportAnswer:
        """Keeps the report and decides what becomes of what the node holds."""
        async with self._database.write() as session:
            nodes, runs = NodeRepository(session), RunRepository(session)
            before = {row.id: row for row in await nodes.containers(node_id)}
            session.expunge_all()
            reported = {item.row.id for item in report.containers}
            gone = [row for row in before.values() if row.id not in reported]
            keys = [item.key for item in report.containers] + [_key(row) for row in gone] + list(report.tries)
            named = {key.run_id for key in keys} | set(report.run_resources)
            known = await runs.find_many(sorted(await runs.with_step_on(node_id, named)))
            found = await runs.find_steps([key for key in keys if key.run_id in known])
            steps = {name: step for name, step in found.items() if step.node_id == node_id}
            kept = _kept(report.containers, steps)
            await nodes.replace_containers(node_id, [item.row for item in kept])
            changes = [
                event
                for item in kept
                for event in _changes(item, before.get(item.row.id), is_owned=_name(item.row) in steps)
            ]
            for event in self._worth_telling(node_id, changes + [_gone(row, steps.get(_name(row))) for row in gone]):
                record(session, event)
            seen = [(item.row, service_trouble(item.facts)) for item in kept]
            await _tell_troubles(runs, steps, seen + [(row, service_trouble(None)) for row in gone])
        owners = {name: _owner(known[step.run_id], step) for name, step in steps.items()}
        return _answer(report, owners, {run.id: RunState(run.state).is_final for run in known.values()})

    def _worth_telling(self, node_id: str, events: Sequence[Event]) -> Iterator[Event]:
        """All events of the node's own steps, and of other containers so many that they don't fill the log."""
        bucket = self._unowned_events.setdefault(node_id, Bucket(UNOWNED_EVENTS_PER_SECOND, UNOWNED_EVENTS_AT_ONCE))
        return (event for event in events if event.run or not bucket.try_take())


def _kept(containers: Sequence[ReportedContainer], steps: Mapping[tuple[str, str], StepRow]) -> list[ReportedContainer]:
    owned = [item for item in containers if _name(item.row) in steps]
    unowned = [item for item in containers if _name(item.row) not in steps]
    return owned + sorted(unowned, key=lambda item: item.row.id)[:MAX_UNOWNED]  # the same ones at the next report


def _answer(report: Report, owners: Mapping[tuple[str, str], Owner], has_ended: Mapping[str, bool]) -> ReportAnswer:
    def owner_of(key: StepKey) -> Owner | None:
        return owners.get((key.run_id, key.step))

    def is_over(key: StepKey) -> bool:
        owner = owner_of(key)
        return owner is None or owner.is_done_with(key.try_)

    return ReportAnswer(
        disposals={item.row.id: dispose(item.held, owner_of(item.key)) for item in report.containers},
        ended_runs=[run_id for run_id in report.run_resources if has_ended.get(run_id)],
        unknown_runs=[run_id for run_id in report.run_resources if run_id not in has_ended],
        over=[key for key in report.tries if is_over(key)],
    )


async def _tell_troubles(
    runs: RunRepository, steps: Mapping[tuple[str, str], StepRow], troubles: Sequence[tuple[ContainerRow, str]]
) -> None:
    """Services that came up show on their steps what became of them since. In one order, as each locks its run."""
    for row, trouble in sorted(troubles, key=lambda item: item[0].run_id):
        step = steps.get((row.run_id, row.step))
        is_up = step is not None and step.type == StepType.SERVICE and step.state == StepState.SUCCEEDED
        if step is not None and is_up and step.try_number == row.try_number and step.trouble != trouble:
            await runs.tell_trouble(step, trouble, outlives_run=row.lifetime == Lifetime.NODE)


def _event(kind: EventKind, row: ContainerRow, message: str = "", reason: str = "", *, is_owned: bool = True) -> Event:
    """Without the step that a container claims, where its node has no such step."""
    return Event(
        kind=kind,
        node=row.node_id,
        run=row.run_id if is_owned else "",
        step=row.step if is_owned else "",
        container=row.name,
        reason=reason,
        message=message,
        data={"id": row.id[:12], "exit_code": row.exit_code, "image": row.image},
    )


def _changes(item: ReportedContainer, before: ContainerRow | None, *, is_owned: bool) -> Iterator[Event]:
    row = item.row
    if before is None and not is_owned:
        yield _event(
            EventKind.CONTAINER_UNKNOWN,
            row,
            "no step of this node owns it; it is kept for a while, then stopped and removed",
            is_owned=False,
        )
    if row.restart_count > (before.restart_count if before else 0):
        yield _restarted(item, is_owned=is_owned)
    if before is None or before.status != row.status:
        yield _state(row, is_owned=is_owned)
    if before is not None and before.health != row.health:
        change = f"{before.health} -> {row.health}"
        yield _event(EventKind.CONTAINER_HEALTH_CHANGED, row, change, is_owned=is_owned)
    if row.problem and (before is None or before.problem != row.problem):
        yield _event(EventKind.CONTAINER_STUCK, row, row.problem, is_owned=is_owned)


def _restarted(item: ReportedContainer, *, is_owned: bool) -> Event:
    """Several restarts between two reports are one event."""
    data = {"restart_count": item.row.restart_count, "exit_code": item.last_exit_code}
    event = _event(EventKind.CONTAINER_RESTARTED, item.row, service_trouble(item.facts), is_owned=is_owned)
    return event.model_copy(update={"data": event.data | data})


def _state(row: ContainerRow, *, is_owned: bool) -> Event:
    kind = EventKind.of_container(row.status)
    message = f'its state is "{row.status}"' if kind is EventKind.CONTAINER_CHANGED else ""
    return _event(kind, row, message, is_owned=is_owned)


def _gone(row: ContainerRow, step: StepRow | None) -> Event:
    """Ours go after their step's outcome is known; one that went before was taken by somebody else."""
    is_live = step is not None and step.try_number == row.try_number and not StepState(step.state).is_final
    if is_live and row.exit_code is None:
        return _event(EventKind.CONTAINER_MISSING, row, "the agent no longer sees it, and its step has not ended")
    return _event(EventKind.CONTAINER_REMOVED, row, is_owned=step is not None)


def _name(row: ContainerRow) -> tuple[str, str]:
    return row.run_id, row.step


def _key(row: ContainerRow) -> StepKey:
    return StepKey(run_id=row.run_id, step=row.step, try_=row.try_number)


def _owner(run: RunRow, step: StepRow) -> Owner:
    run_has_ended = RunState(run.state).is_final
    return Owner(StepState(step.state), step.try_number, step.type == StepType.SERVICE, run_has_ended)
