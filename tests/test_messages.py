"""Messages count in words that people say: one step, 2 steps."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gamekeeper.counted import counted
from tests.test_layout import OURS

ROOT = Path(__file__).parent.parent
HALF_A_PLURAL = re.compile(r"[a-z]\((?:s|es|ies)\)")


def test_no_message_leaves_the_plural_to_its_reader() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text}"
        for name in OURS
        for path in sorted((ROOT / name).rglob("*.py"))
        for text in texts(path)
        if HALF_A_PLURAL.search(text)
    ]
    assert found == []


def texts(path: Path) -> list[str]:
    """All texts of a module; a part of an f-string is one, and so is a docstring."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@pytest.mark.parametrize(("number", "words"), [(0, "0 live steps"), (1, "1 live step"), (2, "2 live steps")])
def test_a_number_of_things(number: int, words: str) -> None:
    assert counted(number, "live step") == words
