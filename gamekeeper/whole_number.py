"""Whole numbers in texts of strangers. ``str.isdigit`` is true for "²", which ``int`` refuses, and ``int`` fails at
4,300 digits."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"[0-9]{1,18}")  # below 2**63: every database has room for it


def whole_number(text: str) -> int | None:
    """The number that ``text`` is in ASCII digits; None for another text, and for one of more than 18 digits."""
    return int(text) if _DIGITS.fullmatch(text) else None
