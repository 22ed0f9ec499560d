"""The file ``$STEP_OUTPUT``."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.outputs import MAX_BYTES, read_outputs, salvage_outputs
from gamekeeper.errors import InvalidError

TEXT = b"""digest=abc=def
 spaced = x
list<<END
one
two=2
END

digest=newer
other=1
empty=
"""


def test_a_file_as_large_as_its_limit_is_read() -> None:
    value = "x" * (MAX_BYTES - len("digest="))
    assert read_outputs(f"digest={value}".encode(), ["digest"]) == {"digest": value}
    assert salvage_outputs(f"digest={value}".encode(), ["digest"]) == {"digest": value}


def test_one_heredoc_after_another() -> None:
    assert read_outputs(b"a<<END\n1\nEND\nb<<END\n2\nEND\nc=3\n", ["a", "b", "c"]) == {"a": "1", "b": "2", "c": "3"}


def test_lines_and_heredocs() -> None:
    assert read_outputs(TEXT, ["list", "digest", "empty", "spaced"]) == {
        "list": "one\ntwo=2",
        "digest": "newer",
        "empty": "",
        "spaced": " x",
    }
    assert read_outputs(b"", []) == {}


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", 'ended without output "digest"'),
        (b"other=1", 'ended without output "digest"; write digest=... to'),
        (b"digest<<END\nno end", 'output "digest" has no line "END" that ends it'),
        (b"digest=1\nhello world", 'line 2 of \\$STEP_OUTPUT is neither key=value nor key<<END: "hello world"'),
        (b"digest=\xff", "is not UTF-8 at byte 7"),
        (b"digest=x\0y\n", "has a NUL at byte 8"),
        (b"digest=" + b"x" * MAX_BYTES, "is over 64 KiB"),
    ],
)
def test_what_is_wrong_with_it(data: bytes, part: str) -> None:
    with pytest.raises(InvalidError, match=part):
        read_outputs(data, ["digest"])


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x85", "\f", "\v", "\r", "\x1c", "\x1d", "\x1e"])
def test_only_lf_and_crlf_end_a_line(inside: str) -> None:
    text = f"one=a{inside}b\r\ntwo<<END\nx{inside}y\r\nz\nEND\n".encode()
    assert read_outputs(text, ["one", "two"]) == {"one": f"a{inside}b", "two": f"x{inside}y\nz"}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"digest=1\nother=2\n", {"digest": "1"}),
        (b"other=2\n", {}),
        (b"digest=1\nnotes<<END\nstopped in the midd", {"digest": "1"}),
        (b"digest=1\nnotes=x\0y\n", {"digest": "1"}),
        (b"digest=\xff\n", {"digest": "\ufffd"}),
        (b"digest=" + b"x" * MAX_BYTES, {}),
    ],
)
def test_a_failed_step_keeps_what_can_be_read(data: bytes, found: dict[str, str]) -> None:
    assert salvage_outputs(data, ["digest", "notes"]) == found
