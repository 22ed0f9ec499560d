"""Words of others on a terminal: what moves its cursor, changes its title or types into it is shown, and not done.

Colours stay (SGR), whole and across the pieces in which a log comes. A carriage return that ends no line is shown as
well: what follows it would stand over what was there, the name of its step included.
"""

from __future__ import annotations

import codecs
import re

_COLOUR = "\x1b\\[[0-9;:]{0,40}m"
_CONTROLS = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the last ones turn the direction
)
_TOLD = re.compile(f"({_COLOUR}|\r(?=\n))|[{_CONTROLS}]")
_BEGUN = re.compile("(\x1b(\\[[0-9;:]{0,40})?|\r)\\Z")  # the next piece tells what it becomes


class SafeText:
    """The bytes of one log, piece by piece."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def add(self, raw: bytes, *, last: bool = False) -> bytes:
        """The part that may be written now. ``last`` ends the log: nothing is held back."""
        text = self._held + self._decoder.decode(raw, last)
        self._held = ""
        if not last and (begun := _BEGUN.search(text)):
            text, self._held = text[: begun.start()], begun.group()
        return safe(text).encode()


def safe(text: str) -> str:
    """The text without controls; lines and colours stay."""
    return _TOLD.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    if found.group(1):
        return found.group(1)
    code = ord(found.group())
    return f"^{chr(code ^ 64)}" if code < 32 or code == 127 else "\ufffd"
