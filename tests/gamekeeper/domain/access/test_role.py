"""Roles as sets of verbs."""

from __future__ import annotations

from itertools import pairwise

from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.verb import Verb


def test_each_role_has_more_than_the_one_before() -> None:
    for less, more in pairwise(Role):
        assert verbs_of(less) < verbs_of(more)
    assert verbs_of(Role.ADMIN) == set(Verb)


def test_only_an_admin_gives_power_to_others() -> None:
    assert [role for role in Role if Verb.ADMIN in verbs_of(role)] == [Role.ADMIN]


def test_a_role_of_a_newer_version_may_do_nothing() -> None:
    assert verbs_of("emperor") == frozenset()
