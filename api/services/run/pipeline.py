"""Stored pipelines: checked when they are stored, numbered, and never changed."""

from __future__ import annotations

from gamekeeper.actor import current_actor
from gamekeeper.control_plane.intake.may_run import check_own
from gamekeeper.control_plane.judging.judge import Judge
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import PipelineRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.pipeline import PipelineRepository
from gamekeeper.domain.access.access import Access, Scope
from gamekeeper.domain.access.bounds import bounds_of
from gamekeeper.domain.access.labels import check_labels
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.language.pipeline_diff import unified_diff
from gamekeeper.domain.language.problem import Problem
from gamekeeper.errors import NotFoundError


class PipelineService:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.judge = Judge()

    async def push(self, source: str, access: Access) -> tuple[PipelineRow, bool, list[Problem]]:
        """The stored version, whether it is new (a text equal to the newest version makes none), and its warnings.

        Raises SpecError with every problem, ForbiddenError for a name or labels that ``access`` does not let in, and
        ConflictError when two store the same pipeline at once.
        """
        pipeline, _, warnings = await self.judge.validate(source)
        target = Target(ObjectKind.PIPELINE, pipeline.name, pipeline.labels)
        async with self._database.write() as session:
            pipelines = PipelineRepository(session)
            await check_own(session, access, target, runs=False)
            newest = await pipelines.find(pipeline.name)
            if newest is not None:
                check_labels(access, Target(target.kind, newest.name, newest.labels), target.labels)
            is_bounded = not bounds_of(access).is_everything
            if newest is not None and newest.source == source and newest.is_bounded == is_bounded:
                newest.labels = dict(target.labels)  # one of before labels had none
                return newest, False, warnings
            row = PipelineRow(
                name=pipeline.name,
                version=await pipelines.next_version(pipeline.name),
                source=source,
                description=pipeline.description or "",
                labels=dict(target.labels),
                is_bounded=is_bounded,
                created_by=current_actor(),
            )
            pipelines.add(row)
            data = {"pipeline": row.name, "version": row.version}
            record(
                session, Event(kind=EventKind.PIPELINE_STORED, message=f"{row.name} version {row.version}", data=data)
            )
        return row, True, warnings

    async def get(self, name: str, version: int | None = None) -> PipelineRow:
        """One version, or the newest. Raises NotFoundError."""
        async with self._database.read() as session:
            return await PipelineRepository(session).get(name, version)

    async def page(self, scope: Scope, cursor: str | None, limit: int) -> Page[PipelineRow]:
        async with self._database.read() as session:
            return await PipelineRepository(session).newest(scope, cursor, limit)

    async def versions(self, name: str, cursor: str | None, limit: int) -> Page[PipelineRow]:
        await self.get(name)
        async with self._database.read() as session:
            return await PipelineRepository(session).versions(name, cursor, limit)

    async def diff(self, name: str, old: int, new: int) -> str:
        first, second = await self.get(name, old), await self.get(name, new)
        return unified_diff(name, (first.version, first.source), (second.version, second.source))

    async def delete(self, name: str) -> None:
        """Runs of it go on, and keep what they run."""
        async with self._database.write() as session:
            if not await PipelineRepository(session).delete(name, utc_now()):
                raise NotFoundError(f'there is no pipeline "{name}"', hint="gamekeeper pipeline ls lists them")
            record(session, Event(kind=EventKind.PIPELINE_DELETED, message=name, data={"pipeline": name}))
