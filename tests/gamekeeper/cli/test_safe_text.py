"""Text of others: nothing of it but lines and colours reaches a terminal, however it comes in pieces."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.cli.safe_text import SafeText, safe

COLOUR = re.compile("\x1b\\[[0-9;:]{0,40}m")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\tand\nlines\r\n", "plain\tand\nlines\r\n"),
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
        ("\x1b]0;title\x07", "^[]0;title^G"),
        ("\x1b[2J", "^[[2J"),
        ("\x1b[6n", "^[[6n"),
        ("\x1bc", "^[c"),
        ("\x1b]8;;http://x\x1b\\link", "^[]8;;http://x^[\\link"),
        ("a\rb", "a^Mb"),
        ("a\x08b\x7f", "a^Hb^?"),
        ("\x9b2J", "\ufffd2J"),
        ("a\u202eb", "a\ufffdb"),
        ("e\u0301 竜 👩‍🚀", "e\u0301 竜 👩‍🚀"),
        ("\x1b[" + "1;" * 50 + "m", "^[[" + "1;" * 50 + "m"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.lists(st.binary(max_size=8) | st.sampled_from([b"\x1b", b"[", b"31", b"m", b"\r", b"\n", b"\xc2", b"\x9b"])))
def test_pieces_are_as_safe_as_the_whole(pieces: list[bytes]) -> None:
    text = SafeText()
    shown = b"".join([*[text.add(piece) for piece in pieces], text.add(b"", last=True)])
    whole = SafeText().add(b"".join(pieces), last=True)
    assert shown == whole
    left = COLOUR.sub("", shown.decode()).replace("\r\n", "\n")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", left)
