"""The users and keys that approvals name, looked up where a run is planned and accepted.

A run keeps their ids: whoever gets the name of one who was removed is somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.access.owner import access_of_owner
from gamekeeper.db.models import StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.grant import HolderKind, holder
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.user_name import name_key
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.language.approver import holder_of, role_of
from gamekeeper.domain.language.problem import ProblemList
from gamekeeper.domain.language.resolved import ResolvedPipeline

MAX_TOLD = 5


async def pin_approvers(session: AsyncSession, resolved: ResolvedPipeline, rows: Sequence[StepRow]) -> None:
    """Writes into the steps' rows who may answer them."""
    allowed = {step.name: step.approval.allow for step in resolved.steps if step.approval is not None}
    for row in rows:
        if allowed.get(row.name):
            row.approvers = await _holders_of(session, allowed[row.name])


async def check_approvers(session: AsyncSession, resolved: ResolvedPipeline, problems: ProblemList) -> None:
    """Adds a problem for each approval that nobody could answer. A name that can't, beside others who can, is a
    warning: the run of a pipeline does not fail because one of several people has left."""
    target = Target(ObjectKind.PIPELINE, resolved.name, resolved.labels)
    for index, step in enumerate(resolved.steps):
        words = step.approval.allow if step.approval is not None else []
        if not words:
            continue
        troubles = await _troubles(session, words, target)
        path = ("steps", index, "approval", "allow")
        if len(troubles) == len(words):
            told = "; ".join(list(troubles.values())[:MAX_TOLD])
            problems.add(
                path, "approver", f"nobody could answer it: {told}", "name a role, or somebody who may approve"
            )
        else:
            for told in troubles.values():
                problems.warn(path, "approver", told, "gamekeeper user ls and gamekeeper key ls list who is there")


async def anybody_may_answer(session: AsyncSession, holders: Iterable[str], target: Target) -> bool:
    """True while one of these users and keys is there, and may approve."""
    for each in holders:
        if each and await _may_approve(session, each, target):
            return True
    return False


async def _troubles(session: AsyncSession, words: Iterable[str], target: Target) -> Mapping[str, str]:
    """The words that mean nobody who could answer, with the reason."""
    found: dict[str, str] = {}
    for word, each in (await _holders_of(session, words)).items():
        if role_of(word):
            continue
        kind, name = holder_of(word)
        if not each:
            found[word] = f'there is no {kind} "{name}"' + (", or it is a user's" if kind == HolderKind.KEY else "")
        elif not await _may_approve(session, each, target):
            found[word] = f'the {kind} "{name}" may not approve'
    return found


async def _may_approve(session: AsyncSession, each: str, target: Target) -> bool:
    return (await access_of_owner(session, each)).may(Verb.APPROVE, target)


async def _holders_of(session: AsyncSession, words: Iterable[str]) -> dict[str, str]:
    """Each word with the id of the user or the key that it names; without one for a role, and for a name that nobody
    has. A key of a user acts as that, so it is no name of its own."""
    found = dict.fromkeys(words, "")
    for word in found:
        kind, name = holder_of(word)
        if kind == HolderKind.USER:
            user = await UserRepository(session).find_named(name_key(name))
            found[word] = holder(kind, user.id) if user is not None else ""
        elif kind == HolderKind.KEY:
            key = await KeyRepository(session).find_good(name, utc_now())
            found[word] = holder(kind, key.id) if key is not None and key.user_id is None else ""
    return found
