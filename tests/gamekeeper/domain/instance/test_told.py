"""Bounds of what a keeper tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.domain.instance.state import Desired, InstanceState
from gamekeeper.domain.instance.told import SERIAL_MARGIN, believed_serial, bounded

NOW = datetime(2026, 11, 29, tzinfo=UTC)
PLAIN = InstanceStatus(
    instance="arena",
    serial=3,
    revision=2,
    desired=Desired.RUNNING,
    state=InstanceState.READY,
    since=NOW,
    exit_code=-9,
    ports=["8303/udp"],
)


def test_a_plain_status_stays_as_it_is() -> None:
    assert bounded(PLAIN) == PLAIN


def test_numbers_below_and_above_are_cut() -> None:
    odd = {"serial": -1, "seq": 2**64, "revision": 2**40, "crash_count": -5, "exit_code": -(2**40)}
    found = bounded(PLAIN.model_copy(update=odd))
    assert (found.serial, found.seq, found.revision, found.crash_count) == (0, 2**53 - 1, 2**31 - 1, 0)
    assert found.exit_code == -(2**31) + 1


def test_texts_hold_what_every_database_takes() -> None:
    found = bounded(PLAIN.model_copy(update={"message": "a\0b\ud800", "ports": ["\0"]}))
    assert (found.message, found.ports) == ("a\ufffdb?", ["\ufffd"])


def test_times_are_of_the_calendar_in_every_zone() -> None:
    for odd in (datetime.min, datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))):
        found = bounded(PLAIN.model_copy(update={"since": odd})).since
        assert found.tzinfo is UTC
        assert 1970 <= found.year <= 9000
    assert bounded(PLAIN.model_copy(update={"since": NOW.replace(tzinfo=None)})).since == NOW


def test_a_serial_that_no_order_ever_had_is_not_believed() -> None:
    assert believed_serial(7, own=5, known=4) == 7
    assert believed_serial(6 + SERIAL_MARGIN, own=5, known=4) == 4
