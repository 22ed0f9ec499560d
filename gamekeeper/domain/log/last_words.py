"""The last lines of a log as one line of text, for the reason of an end. A log holds whatever a process writes, so that
colours, moves of the cursor and bytes that are no text are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gamekeeper.domain.log.log import LogLine

LAST_LINES = 5
MAX_LINE = 300  # characters
MAX_BYTES = 1200  # of all of them, in UTF-8
_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")


def last_words(lines: Sequence[LogLine]) -> str:
    """``its last line: "no map"``, or several; empty where there is nothing to be seen. The newest is always there."""
    shown: list[str] = []
    room = MAX_BYTES
    for line in reversed(lines):
        text = _plain(line.data)
        if not text or (shown and shown[0] == text):  # a server that crashes again and again says the same each time
            continue
        room -= len(text.encode())
        if len(shown) == LAST_LINES or room < 0:
            break
        shown.insert(0, text)
    if not shown:
        return ""
    word = "line" if len(shown) == 1 else "lines"
    return f"its last {word}: " + ", ".join(f'"{text}"' for text in shown)


def _plain(data: bytes) -> str:
    words = " ".join(_SEQUENCE.sub(b"", data).decode(errors="replace").split())[:MAX_LINE]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in words)
