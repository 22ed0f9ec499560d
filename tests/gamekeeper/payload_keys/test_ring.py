"""The rules of the ring: who writes when, and which key may go."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gamekeeper.errors import ConflictError, NotFoundError
from gamekeeper.payload_keys.ring import LATE, MAX_KEYS, PayloadKey, PayloadKeyState, PayloadRing

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECRET = base64.b64encode(b"s" * 32).decode()


def key(name: str, writes: timedelta = timedelta()) -> PayloadKey:
    return PayloadKey(id=name, secret=SECRET, made_at=NOW, writes_from=NOW + writes)


def ring(*keys: PayloadKey, begins_in_clear: bool = False) -> PayloadRing:
    return PayloadRing(keys=keys, begins_in_clear=begins_in_clear)


HOUR = timedelta(hours=1)
OLD, NOWADAYS, NEXT = key("old", -2 * HOUR), key("now", -HOUR), key("next", HOUR)
THREE = ring(OLD, NOWADAYS, NEXT)


def writer_at(found: PayloadRing, moment: datetime) -> str | None:
    writing = found.writer(moment)
    return writing.id if writing else None


def test_the_newest_key_whose_time_has_come_writes() -> None:
    assert [writer_at(THREE, NOW + hours * HOUR) for hours in (-2, -1, 0, 1)] == ["old", "now", "now", "next"]
    assert [THREE.state(each, NOW) for each in THREE.keys] == [
        PayloadKeyState.READS,
        PayloadKeyState.WRITES,
        PayloadKeyState.WAITS,
    ]


def test_a_clock_that_was_set_back_writes_nothing_in_clear() -> None:
    assert writer_at(THREE, NOW - 100 * HOUR) == "old"


def test_an_upgrade_begins_in_clear_and_never_goes_back_to_it() -> None:
    first = ring(key("first", HOUR), begins_in_clear=True)
    assert [writer_at(first, NOW), writer_at(first, NOW + HOUR)] == [None, "first"]
    changed = first.with_key(key("second", 2 * HOUR)).without("first", NOW + 3 * HOUR)
    assert writer_at(changed, NOW) == "second"


def test_a_new_key_comes_after_all_others() -> None:
    assert [each.id for each in ring(OLD).with_key(NOWADAYS).keys] == ["old", "now"]
    with pytest.raises(ConflictError, match="does not write yet"):
        THREE.with_key(key("another", HOUR / 2))
    with pytest.raises(ConflictError, match="drop old ones"):
        ring(*(key(f"key-{number}", number * HOUR) for number in range(MAX_KEYS))).with_key(key("more", 1000 * HOUR))


def test_the_time_after_which_a_key_wrote_nothing() -> None:
    assert THREE.wrote_until(OLD, NOW) == NOWADAYS.writes_from + LATE
    assert THREE.wrote_until(NOWADAYS, NOW) is None
    assert THREE.wrote_until(NEXT, NOW) is None
    assert THREE.wrote_until(NOWADAYS, NOW + HOUR) == NEXT.writes_from + LATE


def test_only_a_key_that_does_not_write_may_go() -> None:
    assert [each.id for each in THREE.without("old", NOW).keys] == ["now", "next"]
    with pytest.raises(ConflictError, match="now writes"):
        THREE.without("now", NOW)
    with pytest.raises(ConflictError, match="next waits"):
        THREE.without("next", NOW)
    with pytest.raises(NotFoundError, match="nobody"):
        THREE.without("nobody", NOW)


def test_a_key_that_is_given_up_leaves_a_note_and_no_secret() -> None:
    changed = THREE.given_up("old", "key:admin", NOW, key("instead"))
    noted = changed.get("old")
    assert (noted.secret, noted.given_up_at, noted.given_up_by) == ("", NOW, "key:admin")
    assert [each.id for each in changed.keys] == ["old", "now", "next"]
    assert changed.state(noted, NOW) is PayloadKeyState.GIVEN_UP
    assert changed.given_up("old", "key:other", NOW + HOUR, key("instead")) == changed
    assert [each.id for each in changed.without("old", NOW).keys] == ["now", "next"]


def test_where_the_writer_is_given_up_another_writes_at_once() -> None:
    changed = ring(NOWADAYS, NEXT).given_up("now", "key:admin", NOW, key("instead"))
    assert writer_at(changed, NOW) == "instead"
    assert writer_at(changed, NOW + HOUR) == "next"


def test_a_key_that_is_lost_can_be_given_up_too() -> None:
    changed = ring(NOWADAYS).given_up("lost", "key:admin", NOW, key("instead"))
    assert changed.get("lost").given_up_at == NOW
    assert writer_at(changed, NOW) == "now"


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [OLD, OLD],
        [OLD.model_copy(update={"secret": "", "given_up_at": NOW})],
        [OLD.model_copy(update={"secret": ""}), NOWADAYS],
        [OLD.model_copy(update={"secret": base64.b64encode(b"short").decode()})],
        [OLD.model_copy(update={"secret": "no base64!"})],
        [OLD.model_copy(update={"id": "../up"})],
    ],
)
def test_a_ring_that_is_none_is_refused(keys: list[PayloadKey]) -> None:
    with pytest.raises(ValidationError):
        PayloadRing.model_validate({"keys": [each.model_dump() for each in keys]})


def test_nothing_shows_a_secret() -> None:
    assert SECRET not in repr(THREE)
    assert SECRET not in str(THREE)


@given(
    st.lists(st.integers(-100, 100), min_size=1, max_size=8, unique=True),
    st.lists(st.integers(0, 7), max_size=4),
    st.integers(-200, 200),
)
def test_what_a_key_may_have_written_is_bounded(begins: list[int], given_up: list[int], now: int) -> None:
    """Whatever is done to a ring, somebody writes, and no key wrote after the time that is told of it."""
    moment = NOW + now * HOUR
    found = ring(*(key(f"key-{begin + 200}", begin * HOUR) for begin in sorted(begins)))
    for number in given_up:
        if number < len(begins):
            found = found.given_up(f"key-{begins[number] + 200}", "key:admin", moment, key("instead", now * HOUR))
    writing = found.writer(moment)
    assert writing is not None
    assert writing.is_good
    for each in found.keys:
        until = found.wrote_until(each, moment)
        assert (until is None) == (each.is_good and (each == writing or each.writes_from > moment))
