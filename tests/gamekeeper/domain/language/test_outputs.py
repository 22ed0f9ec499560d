"""The file ``$STEP_OUTPUT``."""

from __future__ import annotations

import pytest

from gamekeeper.domain.language.outputs import MAX_BYTES, read_outputs
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
        (b"other=1", 'ended without output "digest"'),
        (b"digest<<END\nno end", 'output "digest" has no line "END" that ends it'),
        (b"digest=1\nhello world", 'line 2 of \\$STEP_OUTPUT is neither key=value nor key<<END: "hello world"'),
        (b"digest=\xff", "is not UTF-8 at byte 7"),
        (b"digest=" + b"x" * MAX_BYTES, "is over 64 KiB"),
    ],
)
def test_what_is_wrong_with_it(data: bytes, part: str) -> None:
    with pytest.raises(InvalidError, match=part):
        read_outputs(data, ["digest"])
