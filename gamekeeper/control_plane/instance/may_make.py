"""Checks whether somebody may make an instance, and put it into a group. The body tells of it, so no route can know
it beforehand."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.instance.plan import InstancePlan
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ConflictError, ForbiddenError


async def check_may_make(session: AsyncSession, access: Access, plan: InstancePlan) -> None:
    """Raises ForbiddenError for an instance that whoever makes it could not edit afterwards, and ConflictError for an
    id that another one has, or had: its logs and volumes are still under that id."""
    scope = access.scope(Verb.EDIT, ObjectKind.INSTANCE)
    if scope.is_everything:
        return
    labels = dict(plan.document.labels)
    access.check(
        Verb.EDIT, Target(ObjectKind.INSTANCE, plan.id, labels, access.holder), also="its id or its labels have to fit"
    )
    before = await TargetRepository(session).instance_before(plan.id)
    if before is not None and not scope.covers(before):
        raise ConflictError(f'the id "{plan.id}" is taken, or was', hint="choose another id", code="id_taken")
    await check_group(session, access, plan.spec.group or "")


async def check_group(session: AsyncSession, access: Access, group: str) -> None:
    """Raises ForbiddenError for a group with instances that are not to be edited: its members reach one another."""
    scope = access.scope(Verb.EDIT, ObjectKind.INSTANCE)
    if group and not scope.is_everything and await TargetRepository(session).group_has_others(group, scope):
        raise ForbiddenError(
            f'the group "{group}" has instances that {access.who} may not edit', hint="choose another group"
        )
