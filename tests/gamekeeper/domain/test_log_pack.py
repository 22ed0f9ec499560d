"""Lines packed into one record, and what becomes of bytes that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.domain.log import LogGap, LogRecord, LogStream
from gamekeeper.domain.log_pack import LinePacker, check_pack, first_seq, readable, unpack
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
    found = readable(record)
    assert found[-1].seq == seq
    if found[0].stream is LogStream.GAP:
        assert LogGap.decode(found[0].data).first == first_seq(record)
    else:
        assert [line.seq for line in found] == list(range(first_seq(record), seq + 1))


def packed() -> LogRecord:
    packer = LinePacker()
    packer.add(LogStream.STDOUT, 5, b"a line")
    packer.add(LogStream.STDERR, 6, b"another")
    return packer.record(2)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0\0\0", b"\0\0\0\x03" + packed().data[4:], b"\0\0\0\x02" + b"x" * 25],
    ids=["nothing", "no lines", "more lines than numbers", "more lines than bytes"],
)
def test_a_count_that_can_t_be_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidError):
        check_pack(packed()._replace(data=data))


@pytest.mark.parametrize(
    "data",
    [packed().data[:-1], packed().data + b"x", packed().data[:12] + b"\x03" + packed().data[13:]],
    ids=["too short", "too long", "another stream"],
)
def test_lines_that_do_not_add_up_are_a_gap(data: bytes) -> None:
    record = packed()._replace(data=data)
    with pytest.raises(InvalidError):
        unpack(record)
    (gap,) = readable(record)
    assert (gap.seq, gap.stream) == (2, LogStream.GAP)
    assert LogGap.decode(gap.data).first == 1
