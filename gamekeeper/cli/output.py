"""Output of the command: tables and colours for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape

from gamekeeper.errors import GamekeeperError, SpecError

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_COLOURS = {
    "succeeded": "green",
    "online": "green",
    "ok": "green",
    "active": "green",
    "running": "cyan",
    "failed": "red",
    "error": "red",
    "offline": "red",
    "down": "red",
    "full": "red",
    "unhealthy": "red",
    "canceled": "yellow",
    "disabled": "yellow",
    "maintenance": "yellow",
    "waiting_node": "yellow",
    "suspect": "yellow",
}


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints a row as one line, however long, so that grep and awk work on it. A narrow terminal breaks the line."""
    table = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(columns, *table, strict=True)]
    console.print(f"[bold]{_line(columns, widths)}[/bold]")
    for row in table:
        console.print(_line(row, widths))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [coloured(cell) + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _text(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())


def print_fields(fields: Mapping[str, Any]) -> None:
    """Prints a name and its value a line; the values of a list stand with commas between them."""
    width = max(map(len, fields))
    for name, value in fields.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        console.print(f"{name:{width}}  {coloured(shown)}".rstrip())


def coloured(value: Any) -> str:
    text = "" if value is None else escape(str(value))
    colour = _COLOURS.get(text)
    return f"[{colour}]{text}[/{colour}]" if colour else text


def print_error(error: GamekeeperError) -> None:
    errors.print(f"[red]error:[/red] {escape(error.message)}")
    problems = error.problems if isinstance(error, SpecError) else getattr(error, "problems", [])
    for problem in problems:
        fields = problem if isinstance(problem, dict) else problem.model_dump()
        print_problem(fields)
    if error.hint:
        errors.print(f"[dim]hint:[/dim] {escape(error.hint)}")


def print_warnings(warnings: Sequence[dict[str, Any]]) -> None:
    """Warnings go to the error stream, as they are no result."""
    if warnings:
        errors.print(f"[yellow]{len(warnings)} warning(s)[/yellow]")
    for warning in warnings:
        print_problem(warning)


def print_problem(problem: dict[str, Any]) -> None:
    where = f"line {problem['line']}: " if problem.get("line") else ""
    hint = f"; {problem['hint']}" if problem.get("hint") else ""
    errors.print(escape(f"  {where}{problem['path']}: {problem['message']}{hint}"))


def ago(stamp: str | None) -> str:
    """A time as people say it: ``3 min ago``."""
    if not stamp:
        return "never"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"
