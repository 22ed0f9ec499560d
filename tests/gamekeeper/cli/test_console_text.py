"""The output of a console on a terminal: nothing of it reaches beyond the screen, however it comes in pieces."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.cli.console_text import ConsoleText

DANGEROUS = re.compile(
    "\x1b[\x00-\x17\x19\x1c-\x1f\x7f]*[\\]PX^_%]|[\x05\x90\x98\x9d-\x9f]|(\x1b\\[|\x9b)[0-?]*[ -/]*[ti]"
)


def shown(*pieces: bytes) -> bytes:
    text = ConsoleText()
    return b"".join([text.add(piece) for piece in pieces])


@pytest.mark.parametrize(
    "kept",
    [
        b"plain\r\n\ttext\x07\x08 \xe2\x9d\x9d \xf0\x9f\x8e\xae",
        b"\x1b[1;31mred\x1b[0m\x1b[2J\x1b[10;20H\x1b[?1049h\x1b[?25l\x1b[K",
        b"\x1b7\x1b8\x1b(0lqk\x1b(B\x1bM\x1b=\x1b>\x1bc",
        b"\x1b[6n\x1b[c\x1b[?2004h",  # editors ask where the cursor is; the answer goes to who asked
        b"latin \xe9\xfc",
    ],
)
def test_a_program_has_its_screen(kept: bytes) -> None:
    assert shown(kept) == kept


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (b"a\x1b]52;c;cm0gLXJmIC8=\x07b", b"ab"),  # the clipboard
        (b"a\x1b]0;title\x1b\\b", b"ab"),
        (b"a\xc2\x9d52;c;x\xc2\x9cb", b"ab"),
        (b'a\x1bP$q"p\x1b\\b', b"ab"),
        (b"a\x1b_Gf=100;x\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\b", b"ab"),
        (b"a\x1b[21tb\x1b[8;1;1tc\xc2\x9b21td", b"abcd"),
        (b"a\x1b[5ib\x05c", b"abc"),
        (b"a\x1b%@b\x1b%Gc", b"abc"),
        (b"a\x9d52;c;x\x07b", b"a\xef\xbf\xbd52;c;x\x07b"),
        (b"a\x1b\x1b]x\x07]52;c;y\x07b", b"a]52;c;y\x07b"),  # two halves around what is left out
        (b"a\x1b[2\x1b]x\x071tb", b"a1tb"),
        (b"a\x1b[2\n1tb\x1b\x00]0;x\x07c", b"abc"),  # controls within
        (b"a\x1b]0;x\x1b[1mb", b"a\x1b[1mb"),  # another sequence ends it
        (b"a\x1b]0;x\x18b", b"ab"),
    ],
)
def test_what_reaches_beyond_it_is_left_out(written: bytes, left: bytes) -> None:
    assert shown(written) == left
    assert shown(*[written[place : place + 1] for place in range(len(written))]) == left


def test_a_string_without_an_end_does_not_swallow_the_console_for_ever() -> None:
    text = ConsoleText()
    text.add(b"\x1b]0;" + b"x" * (1 << 20) + b"x")
    assert text.add(b"seen") == b"seen"
    assert shown(b"\x1b[" + b"1" * 5000, b"1t seen").endswith(b"seen")


PIECES = [
    b"\x1b",
    b"[",
    b"]",
    b"P",
    b"2",
    b"1t",
    b";",
    b"\x07",
    b"\\",
    b"\xc2",
    b"\x9b",
    b"\x9d",
    b"\x18",
    b"\n",
    b"%",
    b"m",
    b"\x05",
]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=40))
def test_pieces_are_as_safe_as_the_whole(pieces: list[bytes]) -> None:
    found = shown(*pieces)
    assert found == shown(b"".join(pieces))
    assert not DANGEROUS.search(found.decode(errors="surrogateescape"))
