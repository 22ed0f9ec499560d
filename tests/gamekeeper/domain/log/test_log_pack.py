"""Lines packed into one record, and what becomes of bytes that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.domain.log.log import LogRecord, LogStream
from gamekeeper.domain.log.log_pack import MAX_LINES, LinePacker, check_pack, first_seq, unpack
from gamekeeper.errors import InvalidError

LINES = st.tuples(
    st.sampled_from((LogStream.STDOUT, LogStream.STDERR)), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=40)
)


@given(st.integers(1, 2**62), st.lists(LINES, min_size=1, max_size=20))
def test_what_was_packed_is_unpacked(first: int, lines: list[tuple[LogStream, int, bytes]]) -> None:
    packer = LinePacker()
    for line in lines:
        packer.add(*line)
    packed = packer.record(first + len(lines) - 1)
    assert packer.size == len(packed.data) - 4  # the number of lines stands before them
    assert packed.ts_ns == lines[-1][1]
    check_pack(packed)
    assert first_seq(packed) == first
    assert unpack(packed) == [LogRecord(first + place, *line) for place, line in enumerate(lines)]


@given(st.integers(1, 1000), st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(seq: int, data: bytes) -> None:
    record = LogRecord(seq, LogStream.LINES, 0, data)
    try:
        check_pack(record)
    except InvalidError:
        return
    assert [line.seq for line in unpack(record)] == list(range(first_seq(record), seq + 1))


def packed() -> LogRecord:
    packer = LinePacker()
    packer.add(LogStream.STDOUT, 5, b"a line")
    packer.add(LogStream.STDERR, 6, b"another")
    return packer.record(2)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "does not say how many lines"),
        (b"\0\0\0\0", "can't have 0 lines"),
        (b"\0\0\0\x03" + packed().data[4:], "can't have 3 lines"),
        (packed().data[:-1], "are not 42 bytes long"),
        (packed().data[:20], "are not 20 bytes long"),
        (packed().data + b"x", "are not 44 bytes long"),
        (packed().data[:12] + b"\x03" + packed().data[13:], "a line of stream 3"),
    ],
    ids=["nothing", "no lines", "more lines than numbers", "too short", "one missing", "too long", "another stream"],
)
def test_lines_that_do_not_add_up_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        check_pack(packed()._replace(data=data))


def test_a_pack_has_so_many_lines() -> None:
    packer = LinePacker()
    for _ in range(MAX_LINES + 1):
        packer.add(LogStream.STDOUT, 0, b"")
    with pytest.raises(InvalidError, match="at most 65536"):
        check_pack(packer.record(10**6))
