"""Templates that the call alone can fill in, rendered while a pipeline is resolved; problems go to one list."""

from __future__ import annotations

from typing import Any

from gamekeeper.domain.language.evaluation import Values, as_texts, reads_unknown, render, render_tree
from gamekeeper.domain.language.expressions import ExpressionError, find_expressions
from gamekeeper.domain.language.problem import Path, ProblemList
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.language.values import kind_of


def _shown(value: Any) -> str:
    """A number or a text itself, of anything else its kind."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return kind_of(value)


class Rendering:
    def __init__(self, values: Values, problems: ProblemList) -> None:
        self.values = values
        self.problems = problems

    def tree(self, value: Any, path: Path) -> Any:
        try:
            return render_tree(value, self.values, static_only=True)
        except ExpressionError as error:
            self.problems.add(path, "expression", error.message, error.hint)
            return None

    def texts(self, values: dict[str, str], path: Path) -> dict[str, str]:
        return as_texts(self.tree(values, path) or {})

    def is_open(self, value: Any) -> bool:
        """True for a text with a template whose value can't be told, because an argument of the call is not there."""
        return isinstance(value, str) and any(reads_unknown(found, self.values) for found in find_expressions(value))

    def seconds(self, text: str, path: Path) -> float:
        if self.is_open(text):
            return 1.0
        try:
            duration = parse_duration(str(render(text, self.values))).total_seconds()
        except (ValueError, ExpressionError) as error:
            self.problems.add(path, "duration", str(error))
            return 1.0
        if duration <= 0:
            self.problems.add(path, "range", f"{text} is no time at all; use more than 0")
        return duration

    def flag(self, value: bool | str, path: Path) -> bool:
        if self.is_open(value):
            return False
        before = len(self.problems.problems)
        rendered = self.tree(value, path)
        if len(self.problems.problems) > before:
            return False
        if not isinstance(rendered, bool):
            self.problems.add(path, "type", f"must be true or false, got {_shown(rendered)}")
        return rendered is True

    def number(
        self, value: int | str | None, default: int | str | None, otherwise: int, limits: tuple[int, int], path: Path
    ) -> int:
        given = value if value is not None else default
        if self.is_open(given):
            return otherwise
        before = len(self.problems.problems)
        number = otherwise if given is None else self.tree(given, path)
        if len(self.problems.problems) > before:
            return otherwise
        if isinstance(number, bool) or not isinstance(number, int) or not limits[0] <= number <= limits[1]:
            self.problems.add(path, "range", f"{_shown(number)}; use {limits[0]} to {limits[1]}")
            return otherwise
        return number
