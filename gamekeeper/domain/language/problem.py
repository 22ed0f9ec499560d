"""One problem in a pipeline, as the same record from the CLI, ``/pipelines/validate`` and submission."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pydantic import BaseModel

Path = tuple[str | int, ...]
MAX_PROBLEMS = 200
MAX_COMPARED = 100  # words that are looked at for one that was meant


class Problem(BaseModel):
    """``path`` is dotted with indices (``steps[2].if``); ``line`` and ``column`` count from 1, 0 where unknown."""

    path: str
    line: int = 0
    column: int = 0
    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{where}{self.path}: {self.message}{hint}"


def dotted(path: Path) -> str:
    """``("steps", 2, "if")`` as ``steps[2].if``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint naming the closest known word, or all known words when they are few, else nothing."""
    words = sorted(known)
    if len(words) > MAX_COMPARED:
        words = [word for word in words if word[:1] == name[:1]][:MAX_COMPARED]
    close = difflib.get_close_matches(name, words, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    if words and len(words) <= 12:
        return "known: " + ", ".join(words)
    return ""


class ProblemList:
    """Collects problems, placing each by its path in the source text."""

    def __init__(self, positions: dict[Path, tuple[int, int]] | None = None) -> None:
        self._positions = positions or {}
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(self, path: Path, code: str, message: str, hint: str = "") -> None:
        if self.is_full:
            return
        problem = self._placed(path, code, message, hint)
        if len(self.problems) == MAX_PROBLEMS:
            problem = Problem(path="", code="too_many", message="there are more problems", hint="mend these first")
        if self.problems[-1:] != [problem]:  # of two keys that one value fills in
            self.problems.append(problem)

    @property
    def is_full(self) -> bool:
        """True when the last problem says that there are more: nobody reads a thousand, and each costs time."""
        return len(self.problems) > MAX_PROBLEMS

    def warn(self, path: Path, code: str, message: str, hint: str = "") -> None:
        """Adds what keeps nothing from starting."""
        self.warnings.append(self._placed(path, code, message, hint))

    def _placed(self, path: Path, code: str, message: str, hint: str) -> Problem:
        line, column = self.position(path)
        return Problem(path=dotted(path), line=line, column=column, code=code, message=message, hint=hint)

    def position(self, path: Path) -> tuple[int, int]:
        """The nearest known position at or above ``path``; (0, 0) for a spec that came as JSON."""
        for end in range(len(path), -1, -1):
            if path[:end] in self._positions:
                return self._positions[path[:end]]
        return (0, 0)
