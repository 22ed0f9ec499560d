"""Checks whether somebody may run a pipeline, stored or brought along, on the node that a call names."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.intake.submission import Submission
from gamekeeper.db.repositories.pipeline import no_pipeline
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ForbiddenError, NotFoundError

STORED_INSTEAD = "or run one that is stored: gamekeeper run NAME"


async def check_stored(session: AsyncSession, access: Access, submission: Submission, verb: Verb) -> None:
    """Raises NotFoundError for a stored pipeline that ``access`` does not see, and ForbiddenError for one that it
    sees, and no more."""
    name = submission.pipeline
    if name is None or access.scope(verb, ObjectKind.PIPELINE).is_everything:
        return
    target = await TargetRepository(session).pipeline(name)
    if target is None or not (access.may(verb, target) or access.may(Verb.SEE, target)):
        raise no_pipeline(name)
    access.check(verb, target)


async def check_node(session: AsyncSession, access: Access, node_id: str | None) -> None:
    """Raises NotFoundError and ForbiddenError, as ``check_stored``, for the node that a call names."""
    if node_id is None or access.scope(Verb.RUN, ObjectKind.NODE).is_everything:
        return
    target = await TargetRepository(session).node(node_id)
    if target is None or not (access.may(Verb.RUN, target) or access.may(Verb.SEE, target)):
        raise NotFoundError(f'there is no node "{node_id}"', hint="gamekeeper node ls lists them")
    access.check(Verb.RUN, target)


async def check_own(session: AsyncSession, access: Access, target: Target, *, runs: bool) -> None:
    """Raises ForbiddenError for a pipeline that somebody brings along or stores, and may not: it needs ``edit``, and
    ``run`` to be run. A name that others' pipelines or runs have is theirs: volumes go by it."""
    access.check(Verb.EDIT, target, STORED_INSTEAD if runs else "")
    if runs:
        access.check(Verb.RUN, target)
    scope = access.scope(Verb.EDIT, ObjectKind.PIPELINE)
    if not scope.is_everything and await TargetRepository(session).is_of_others(target.id, scope):
        raise ForbiddenError(f'the name "{target.id}" is that of somebody else\'s pipeline', hint="choose another name")
