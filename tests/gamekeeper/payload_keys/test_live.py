"""The ring of a process that goes on while the file changes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gamekeeper.domain.access.payload_trouble import PayloadTrouble
from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.payload_keys.live import GivenUpKeyError, MissingKeyError, PayloadKeys
from gamekeeper.payload_keys.ring_file import RingFile, new_key
from gamekeeper.payload_keys.troubles import MAX_STANDING, PayloadTroubles
from tests.fakes.trouble_log import FakeTroubleLog
from tests.told import told


class Clocks:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.seconds = 0.0

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds


class Process:
    """One that has the ring."""

    def __init__(self, file: RingFile) -> None:
        self.clocks = Clocks()
        self.keys = PayloadKeys(file, lambda: self.clocks.now, lambda: self.clocks.seconds)

    def writer(self) -> str:
        found = self.keys.writer()
        assert found is not None
        return found.id


@pytest.fixture
def file(tmp_path: Path) -> RingFile:
    found = RingFile(tmp_path / "payloads.key")
    found.ensure()
    return found


def rotate(file: RingFile, after: float) -> str:
    now = datetime.now(UTC)
    key = new_key(now + timedelta(seconds=after), now)
    file.change(lambda ring: ring.with_key(key))
    return key.id


def test_a_new_key_is_read_before_any_process_writes_with_it(file: RingFile) -> None:
    early, late = Process(file), Process(file)
    first = early.writer()
    second = rotate(file, 30)
    early.clocks.pass_by(2)
    assert [early.writer(), late.writer()] == [first, first], "late has not looked again, and needs not"
    early.clocks.pass_by(30)
    assert early.writer() == second
    assert late.keys.reader(second).id == second, "it looks at the file for a key that it does not know"


def test_a_change_is_seen_within_a_second(file: RingFile) -> None:
    process = Process(file)
    process.clocks.pass_by(1)
    process.writer()
    second = rotate(file, 0)
    process.clocks.pass_by(1)
    assert process.writer() == second


def test_a_key_that_nobody_has_is_told_in_one_line(file: RingFile) -> None:
    process = Process(file)
    with pytest.raises(MissingKeyError, match=r"payload key 20200101-beef is not in payloads\.key"):
        process.keys.reader("20200101-beef")
    with pytest.raises(MissingKeyError) as caught:
        process.keys.reader("\n\x1b[31m" + "x" * 1000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_key_that_was_given_up_tells_who_did(file: RingFile) -> None:
    process, now = Process(file), datetime.now(UTC)
    first = process.writer()
    file.change(lambda ring: ring.given_up(first, "key:admin", now, new_key(now, now)))
    process.keys.look()
    with pytest.raises(GivenUpKeyError, match="was given up by key:admin"):
        process.keys.reader(first)
    assert process.writer() != first


def test_a_spoiled_file_leaves_the_keys_of_before(file: RingFile, caplog: pytest.LogCaptureFixture) -> None:
    process = Process(file)
    first, text = process.writer(), file.path.read_text()
    caplog.set_level(logging.WARNING)
    file.path.write_text("{")
    for _ in range(3):
        process.clocks.pass_by(2)
        assert process.writer() == first
    assert "can't be read" in process.keys.trouble
    assert len(told(caplog)) == 1
    file.path.unlink()
    process.clocks.pass_by(2)
    assert process.writer() == first
    file.path.write_text(text)
    process.clocks.pass_by(2)
    assert (process.writer(), process.keys.trouble) == (first, "")


def test_a_process_does_not_begin_without_keys(tmp_path: Path) -> None:
    with pytest.raises(InvalidError):
        PayloadKeys(RingFile(tmp_path / "payloads.key"))


LOST = PayloadTrouble("run/1", "lost", "it is not there", True)


async def test_a_trouble_is_written_until_it_is_over() -> None:
    troubles, log = PayloadTroubles(), FakeTroubleLog()
    troubles.note(LOST)
    await troubles.tell(log, "gateway")
    assert list(log.rows) == [("gateway", "run/1", "lost")]
    troubles.over("run/2", "lost")
    await troubles.tell(log, "gateway")
    assert log.rows
    troubles.over("run/1", "lost")
    await troubles.tell(log, "gateway")
    assert not log.rows


async def test_what_can_not_be_written_now_is_written_later() -> None:
    troubles, log = PayloadTroubles(), FakeTroubleLog()
    log.is_away = True
    troubles.note(LOST)
    with pytest.raises(UnavailableError):
        await troubles.tell(log, "gateway")
    log.is_away = False
    await troubles.tell(log, "gateway")
    assert log.rows
    troubles.over("run/1", "lost")
    log.is_away = True
    with pytest.raises(UnavailableError):
        await troubles.tell(log, "gateway")
    troubles.note(LOST)
    log.is_away = False
    await troubles.tell(log, "gateway")
    assert log.rows, "it came again in the meantime"


def test_a_flood_of_troubles_is_bounded() -> None:
    troubles = PayloadTroubles()
    for number in range(3 * MAX_STANDING):
        troubles.note(PayloadTrouble(f"run/{number}", "lost", "words"))
    noted, _ = troubles.take()
    assert len(noted) == MAX_STANDING
