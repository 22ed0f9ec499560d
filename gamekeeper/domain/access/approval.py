"""Answers to approvals: whether somebody is among those whom an approval's ``allow`` names.

The verb ``approve`` is asked for besides, by the route: ``allow`` narrows, and gives nobody anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.language.approver import role_of, told
from gamekeeper.errors import ForbiddenError


def check_may_answer(step: str, approvers: Mapping[str, str], access: Access, target: Target) -> None:
    """Raises ForbiddenError, which says who may. ``approvers`` has the holder's id of each word that means a user or a
    key: names can be given again, ids can't. Where nobody is named, all may."""
    if approvers and not _is_among(approvers, access, target):
        raise ForbiddenError(
            f'{access.who} may not answer step "{step}": its "allow" names {told(approvers)}',
            hint="one of them may answer it",
        )


def names_role(approvers: Mapping[str, str]) -> bool:
    """True where a role may answer: there is always an admin, who may do what each role may."""
    return any(role_of(word) for word in approvers)


def _is_among(approvers: Mapping[str, str], access: Access, target: Target) -> bool:
    if access.holder and access.holder in approvers.values():
        return True
    roles = [role for word in approvers if (role := role_of(word))]
    return any(access.has_role(role, target) for role in roles)
