"""A number of things in words, for messages: one step, 2 steps."""

from __future__ import annotations


def counted(number: int, word: str) -> str:
    """The number and the word, in the plural where there is not one of it; all our words take an s."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
