"""The people that the `allow` of an approval lets answer."""

from __future__ import annotations

import pytest

from gamekeeper.domain.access.access import access_of, roles_with
from gamekeeper.domain.access.approval import check_may_answer, names_role
from gamekeeper.domain.access.grant import Grant
from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.selector import Selector
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.language.approver import ROLES, approvers, holder_of, role_of
from gamekeeper.errors import ForbiddenError

RUN = Target(ObjectKind.PIPELINE, "deploy", {"team": "blue"})
BLUE = Grant(verbs_of(Role.OPERATOR), Selector(ObjectKind.PIPELINE, labels=(("team", "blue"),)))
RED = Grant(verbs_of(Role.OPERATOR), Selector(ObjectKind.PIPELINE, labels=(("team", "red"),)))


def test_the_language_knows_the_roles_that_may_approve() -> None:
    assert list(ROLES) == roles_with(Verb.APPROVE)


def test_words() -> None:
    assert approvers(["operators", "operator", "user:mia", "admin", "user:mia"]) == ["operator", "user:mia", "admin"]
    assert (role_of("admins"), role_of("viewer"), role_of("user:admin")) == ("admin", "", "")
    assert (holder_of("user:operator"), holder_of("mia"), holder_of("key:")) == (
        ("user", "operator"),
        ("", ""),
        ("", ""),
    )


@pytest.mark.parametrize(
    ("allow", "role", "grants", "may"),
    [
        ({}, "operator", (), True),
        ({"operator": ""}, "operator", (), True),
        ({"operator": ""}, "admin", (), True),
        ({"developer": ""}, "operator", (), False),
        ({"developer": "", "operator": ""}, "operator", (), True),
        ({"user:mia": "user:1"}, "operator", (), True),
        ({"user:bob": "user:2"}, "admin", (), False),
        ({"user:gone": ""}, "operator", (), False),
        ({"operator": ""}, "guest", (BLUE,), True),
        ({"operator": ""}, "guest", (RED,), False),
        ({"operator": ""}, "guest", (Grant(frozenset({Verb.APPROVE}), Selector()),), False),
    ],
)
def test_who_may_answer(allow: dict[str, str], role: str, grants: tuple[Grant, ...], may: bool) -> None:
    access = access_of("user:1", role, grants, 'the user "mia"')
    if may:
        check_may_answer("ask", allow, access, RUN)
        return
    with pytest.raises(ForbiddenError, match='the user "mia" may not answer step "ask": its "allow" names ') as found:
        check_may_answer("ask", allow, access, RUN)
    assert all(word in found.value.message for word in allow)


def test_nobody_without_an_id_is_anybody() -> None:
    """A name that nobody has is kept with an empty id, and is nobody's."""
    with pytest.raises(ForbiddenError):
        check_may_answer("ask", {"user:gone": ""}, access_of("", Role.ADMIN), RUN)


def test_a_role_is_always_somebody() -> None:
    assert names_role({"user:mia": "user:1", "admin": ""})
    assert not names_role({"user:admin": "user:1"})
