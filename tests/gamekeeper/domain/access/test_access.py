"""Grants as what they add up to: one object, a whole list, and what may be given on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gamekeeper.domain.access.access import Access, access_of
from gamekeeper.domain.access.caller import Caller, CallerKind
from gamekeeper.domain.access.grant import Grant
from gamekeeper.domain.access.labels import check_labels
from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.selector import Selector, make_selector
from gamekeeper.domain.access.target import SERVER, Target
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.errors import ForbiddenError, InvalidError

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ME = "key:0f9a33c1"
INSTANCE, NODE, PIPELINE = ObjectKind.INSTANCE, ObjectKind.NODE, ObjectKind.PIPELINE


def grant(verbs: set[Verb], selector: Selector, expires_at: datetime | None = None) -> Grant:
    return Grant(frozenset(verbs), selector, expires_at)


def arena(id_: str = "arena", owner: str = "", **labels: str) -> Target:
    return Target(INSTANCE, id_, labels, owner)


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        (Selector(), True),
        (Selector(INSTANCE), True),
        (Selector(NODE), False),
        (Selector(INSTANCE, ids=("arena",)), True),
        (Selector(INSTANCE, ids=("aren",)), False),
        (Selector(INSTANCE, ids=("arena2",)), False),
        (Selector(INSTANCE, ids=("x", "ar*")), True),
        (Selector(INSTANCE, ids=("Ar*",)), False),
        (Selector(INSTANCE, labels=(("team", "blue"),)), True),
        (Selector(INSTANCE, labels=(("team", "red"),)), False),
        (Selector(INSTANCE, labels=(("team", "blue"), ("eu", "1"))), False),
        (Selector(INSTANCE, ids=("arena",), labels=(("team", "red"),)), False),
        (Selector(INSTANCE, is_own=True), True),
        (Selector(None, labels=(("team", "blue"),)), True),
    ],
)
def test_a_selector_means_what_all_of_its_parts_fit(selector: Selector, fits: bool) -> None:
    access = Access(ME, (grant({Verb.SEE}, selector),))
    assert access.may(Verb.SEE, arena(owner=ME, team="blue")) is fits
    assert not access.may(Verb.POWER, arena(owner=ME, team="blue"))


def test_nobodys_own_is_everybodys() -> None:
    """An instance of before has no owner, and somebody without an id owns none."""
    own = Selector(INSTANCE, is_own=True)
    assert not Access("", (grant({Verb.SEE}, own),)).may(Verb.SEE, arena())
    assert not Access(ME, (grant({Verb.SEE}, own),)).may(Verb.SEE, arena())


def test_grants_only_add() -> None:
    wide, narrow = grant({Verb.SEE}, Selector(INSTANCE)), grant({Verb.POWER}, Selector(INSTANCE, ids=("arena",)))
    for order in ((wide, narrow), (narrow, wide)):
        access = Access(ME, order)
        assert access.verbs_on(arena()) == {Verb.SEE, Verb.POWER}
        assert access.verbs_on(arena("other")) == {Verb.SEE}


def test_a_role_is_a_grant_on_everything() -> None:
    access = access_of(ME, Role.OPERATOR)
    assert access.scope(Verb.POWER, INSTANCE).is_everything
    assert access.scope(Verb.EDIT, INSTANCE).is_nothing
    assert access.may(Verb.SEE, SERVER)
    assert access.verbs() == verbs_of(Role.OPERATOR)
    assert access_of(ME, Role.GUEST).grants == ()


def test_what_is_on_one_kind_is_not_on_the_server() -> None:
    access = Access(ME, (grant(set(Verb), Selector(NODE)), grant({Verb.SEE}, Selector(None, labels=(("a", "b"),)))))
    assert not access.may(Verb.SEE, SERVER)
    assert not access.may(Verb.ADMIN, SERVER)


def test_an_end_is_an_end() -> None:
    short = grant({Verb.SEE}, Selector(), NOW)
    caller = Caller(CallerKind.KEY, "k", "ci", Role.GUEST, "", None, (short, grant({Verb.SEE}, Selector(NODE))))
    assert caller.at(NOW - timedelta(seconds=1)).access.may(Verb.SEE, SERVER)
    assert not caller.at(NOW).access.may(Verb.SEE, SERVER)
    assert caller.at(NOW).access.may(Verb.SEE, Target(NODE, "n"))


def test_a_key_of_a_user_never_does_more_than_its_user() -> None:
    access = access_of(ME, Role.DEVELOPER).within(verbs_of(Role.VIEWER))
    assert access.verbs() == verbs_of(Role.VIEWER)
    assert Access(ME, (grant({Verb.EDIT}, Selector()),)).within(verbs_of(Role.VIEWER)).grants == ()


@pytest.mark.parametrize(
    ("given", "can"),
    [
        (Selector(INSTANCE, ids=("eu-1",)), True),
        (Selector(INSTANCE, ids=("eu-*",)), True),
        (Selector(INSTANCE, ids=("eu-1", "eu-a*")), True),
        (Selector(INSTANCE, ids=("eu-1", "us-1")), False),
        (Selector(INSTANCE, ids=("e*",)), False),
        (Selector(INSTANCE), False),
        (Selector(), False),
        (Selector(None, labels=(("team", "blue"),)), False),
        (Selector(INSTANCE, labels=(("team", "blue"),)), True),
        (Selector(INSTANCE, labels=(("team", "blue"), ("x", "y"))), True),
        (Selector(INSTANCE, ids=("any",), labels=(("team", "blue"),)), True),
        (Selector(INSTANCE, labels=(("team", "red"),)), False),
        (Selector(INSTANCE, is_own=True), False),
    ],
)
def test_nobody_gives_more_than_they_have(given: Selector, can: bool) -> None:
    access = Access(
        ME,
        (
            grant({Verb.SEE, Verb.POWER}, Selector(INSTANCE, ids=("eu-*",))),
            grant({Verb.SEE, Verb.POWER}, Selector(INSTANCE, labels=(("team", "blue"),))),
            grant({Verb.SEE, Verb.POWER}, Selector(INSTANCE, is_own=True)),
        ),
    )
    assert access.can_give({Verb.SEE, Verb.POWER}, given) is can
    assert not access.can_give({Verb.SEE, Verb.EDIT}, given)


def test_labels_give_nobody_a_verb_over_what_they_edit() -> None:
    blue = grant({Verb.SEE, Verb.EDIT}, Selector(INSTANCE, labels=(("team", "blue"),)))
    shell = grant({Verb.SHELL}, Selector(INSTANCE, labels=(("shell", "yes"),)))
    access = Access(ME, (blue, shell), who="the caller")
    before = arena(team="blue")
    check_labels(access, before, {"team": "blue", "more": "x"})
    with pytest.raises(ForbiddenError, match='the caller would get the verb "shell"'):
        check_labels(access, before, {"team": "blue", "shell": "yes"})
    with pytest.raises(ForbiddenError, match='lacks the verb "edit"'):
        check_labels(access, before, {"team": "red"})


@pytest.mark.parametrize(
    ("kind", "ids", "labels", "own", "words"),
    [
        (INSTANCE, ["*"], {}, False, "names all ids"),
        (INSTANCE, ["a*b"], {}, False, "is no id"),
        (INSTANCE, ["a**"], {}, False, "is no id"),
        (INSTANCE, ["%"], {}, False, "no id is like"),
        (INSTANCE, ["ä"], {}, False, "no id is like"),
        (INSTANCE, ["a" * 64], {}, False, "is no id"),
        (None, ["a"], {}, False, "belong to one kind"),
        (ObjectKind.SERVER, [], {"a": "b"}, False, "one server"),
        (ObjectKind.SERVER, ["a"], {}, False, "one server"),
        (NODE, [], {}, True, "instances alone"),
        (None, [], {}, True, "instances alone"),
        (INSTANCE, [f"a{n}" for n in range(51)], {}, False, "50 ids"),
        (INSTANCE, [], {str(n): "" for n in range(17)}, False, "16 labels"),
        (INSTANCE, [], {"": "x"}, False, "1 to 63"),
        (INSTANCE, [], {"k": "x" * 256}, False, "up to 255"),
        (INSTANCE, [], {"k": "a\0"}, False, "no text"),
        (INSTANCE, [], {"\ud800": "a"}, False, "no text"),
    ],
)
def test_selectors_that_mean_nothing(
    kind: ObjectKind | None, ids: list[str], labels: dict[str, str], own: bool, words: str
) -> None:
    with pytest.raises(InvalidError, match=words):
        make_selector(kind, ids, labels, is_own=own)


def test_labels_are_of_any_script() -> None:
    selector = make_selector(INSTANCE, [], {"团队": "синий", "a\"b\\'": "😀"})
    assert selector.fits(Target(INSTANCE, "x", {"团队": "синий", "a\"b\\'": "😀"}), "")
