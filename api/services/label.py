"""Filters by label, as lists take them."""

from __future__ import annotations

from gamekeeper.errors import InvalidError


def label_pair(label: str) -> tuple[str, str]:
    """``KEY=VALUE`` as a pair. Raises InvalidError."""
    key, separator, value = label.partition("=")
    if not separator or not key:
        raise InvalidError(f'"{label}" is not a label filter', hint="write it as label=KEY=VALUE")
    return key, value
