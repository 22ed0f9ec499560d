"""SQL of the uses of secrets: the runs and the revisions of instances that name one.

A use is written in the transaction that makes its run or its revision, so that no secret is removed in between.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, delete, exists
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import InstanceRow, RunRow, SecretUseRow
from gamekeeper.domain.run.run import FINAL_RUN_STATES

RUN, INSTANCE = "run", "instance"
_FINAL = [state.value for state in FINAL_RUN_STATES]


class SecretUseRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def note_run(self, run_id: str, names: Collection[str]) -> None:
        """The secrets that a run names, all of them at once. Idempotent."""
        await self._note(RUN, run_id, 0, names)

    async def note_revision(self, instance_id: str, revision: int, names: Collection[str]) -> None:
        """The secrets that a revision of an instance names, all of them at once. Idempotent."""
        await self._note(INSTANCE, instance_id, revision, names)

    async def of(self, name: str, limit: int) -> list[str]:
        """Those who use a secret now, as ``instance arena-1`` and ``run 8f3a``."""
        query = (
            select(SecretUseRow.kind, SecretUseRow.owner)
            .where(SecretUseRow.secret_name == name, _is_open())
            .order_by(SecretUseRow.kind, SecretUseRow.owner)
            .distinct()
        )
        return [f"{kind} {owner}" for kind, owner in (await self._session.exec(query.limit(limit))).all()]

    async def forget_ended(self) -> None:
        """Forgets the uses of runs that have ended and of instances that are gone."""
        run, owner = col(RunRow.id), col(SecretUseRow.owner)
        goes_on = exists().where(run == owner, col(RunRow.state).not_in(_FINAL))
        is_there = exists().where(col(InstanceRow.id) == owner, col(InstanceRow.deleted_at).is_(None))
        kind = col(SecretUseRow.kind)
        await self._session.exec(delete(SecretUseRow).where(kind == RUN, ~goes_on))
        await self._session.exec(delete(SecretUseRow).where(kind == INSTANCE, ~is_there))

    async def _note(self, kind: str, owner: str, revision: int, names: Collection[str]) -> None:
        same = col(SecretUseRow.kind) == kind, col(SecretUseRow.owner) == owner, col(SecretUseRow.revision) == revision
        await self._session.exec(delete(SecretUseRow).where(*same))
        self._session.add_all(
            SecretUseRow(secret_name=name, kind=kind, owner=owner, revision=revision) for name in sorted(set(names))
        )


def _is_open() -> ColumnElement[bool]:
    kind, owner, revision = col(SecretUseRow.kind), col(SecretUseRow.owner), col(SecretUseRow.revision)
    run = exists().where(col(RunRow.id) == owner, col(RunRow.state).not_in(_FINAL))
    instance = exists().where(
        col(InstanceRow.id) == owner, col(InstanceRow.revision) == revision, col(InstanceRow.deleted_at).is_(None)
    )
    return and_(kind == RUN, run) | and_(kind == INSTANCE, instance)
