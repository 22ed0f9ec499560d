"""The records of a loss and of a log's end, and the time of a line by the server's clock."""

from __future__ import annotations

import pytest

from gamekeeper.domain.log.log import MAX_REASON, LogClocks, LogEnd, LogGap, LogRecord, LogStream
from gamekeeper.domain.log.log_pack import first_seq
from gamekeeper.errors import InvalidError


def test_a_stream_has_its_number_on_the_wire_and_on_disk() -> None:
    numbers = {"STDOUT": 1, "STDERR": 2, "GAP": 3, "END": 4, "LINES": 5}
    assert {stream.name: stream.value for stream in LogStream} == numbers


@pytest.mark.parametrize("record", [LogEnd(True), LogEnd(False, "Docker lost it"), LogGap(3, 7, "no room")])
def test_a_record_is_read_back(record: LogEnd | LogGap) -> None:
    assert type(record).decode(record.encode()) == record


def test_a_long_reason_is_cut() -> None:
    assert LogEnd.decode(LogEnd(False, "x" * (MAX_REASON + 1)).encode()).reason == "x" * MAX_REASON
    assert LogGap.decode(LogGap(1, 2, "x" * (MAX_REASON + 1)).encode()).reason == "x" * MAX_REASON


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[]", b"1", b"[" * 100_000], ids=["empty", "open", "bytes", "list", "number", "deep"]
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    for record in (LogEnd, LogGap):
        with pytest.raises(InvalidError, match=r"a gap or end record is not (JSON|a JSON object)$"):
            record.decode(data)


@pytest.mark.parametrize(
    "data",
    [b"{}", b'{"from": 1}', b'{"from": 1, "to": null}', b'{"from": "x", "to": 2}', b'{"from": 1, "to": Infinity}'],
)
def test_a_gap_must_say_what_is_missing(data: bytes) -> None:
    with pytest.raises(InvalidError, match="does not say what is missing"):
        LogGap.decode(data)


@pytest.mark.parametrize("data", [b"{}", b'{"complete": 0, "reason": ""}'])
def test_an_end_that_says_nothing_is_not_complete(data: bytes) -> None:
    assert LogEnd.decode(data) == LogEnd(False)


def test_a_gap_begins_with_the_first_record_that_is_missing() -> None:
    assert first_seq(LogRecord(7, LogStream.GAP, 0, LogGap(3, 7, "").encode())) == 3
    assert first_seq(LogRecord(7, LogStream.STDOUT, 0, b"x")) == 7


@pytest.mark.parametrize(
    ("marks", "seq", "offset"),
    [
        ((), 5, 0),
        (((10, 100), (20, 200), (30, 300)), 1, 100),
        (((10, 100), (20, 200), (30, 300)), 10, 100),
        (((10, 100), (20, 200), (30, 300)), 19, 100),
        (((10, 100), (20, 200), (30, 300)), 20, 200),
        (((10, 100), (20, 200), (30, 300)), 99, 300),
        (((10, -100),), 99, -100),
    ],
)
def test_a_line_has_the_offset_of_the_last_mark_before_it(
    marks: tuple[tuple[int, int], ...], seq: int, offset: int
) -> None:
    clocks = LogClocks(marks)
    assert clocks.offset_ns(seq) == offset
    assert clocks.server_ns(LogRecord(seq, LogStream.STDOUT, 1000, b"")) == 1000 - offset
