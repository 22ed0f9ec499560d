"""The last lines of a log as words of a reason: few, short, and safe to show."""

from __future__ import annotations

import pytest

from gamekeeper.domain.log.last_words import MAX_BYTES, MAX_LINE, last_words
from gamekeeper.domain.log.log import LogLine, LogStream


def words(*lines: bytes) -> str:
    return last_words([LogLine(LogStream.STDOUT, number, line) for number, line in enumerate(lines)])


def test_the_newest_lines_in_their_order() -> None:
    assert words(b"no map\n") == 'its last line: "no map"'
    assert words(*[b"%d\n" % number for number in range(9)]) == 'its last lines: "4", "5", "6", "7", "8"'


@pytest.mark.parametrize("lines", [(), (b"\n",), (b" \t\r\n", b"\x1b[0m\n")])
def test_nothing_to_be_seen(lines: tuple[bytes, ...]) -> None:
    assert words(*lines) == ""


def test_a_line_that_is_repeated_is_told_once() -> None:
    assert words(b"up\n", b"no map\n", b"\n", b"no map\n") == 'its last lines: "up", "no map"'


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"\x1b[1;31mERROR\x1b[0m no map\r\n", "ERROR no map"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]0;never ended", ""),
        (b"a\x00b\x07c\x9bd", "a\ufffdb\ufffdc\ufffdd"),
        ("flip \u202e over".encode(), "flip \ufffd over"),
        (b"10 %\r20 %\r", "10 % 20 %"),
    ],
)
def test_no_byte_of_it_moves_a_terminal(line: bytes, shown: str) -> None:
    assert words(line) == (f'its last line: "{shown}"' if shown else "")


def test_their_size_is_bounded_and_the_newest_is_always_there() -> None:
    long = "ä" * 2 * MAX_LINE
    found = words(*[f"{number}{long}\n".encode() for number in range(9)])
    assert found.count('"') == 2 * 2
    assert f'"8{long[: MAX_LINE - 1]}"' in found
    assert words(("\U0001f600" * MAX_LINE).encode()).count("\U0001f600") == MAX_LINE == MAX_BYTES // 4
