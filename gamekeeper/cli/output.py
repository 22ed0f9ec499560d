"""Output of the command: tables and colours for people, JSON for scripts. Words of others are never markup."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from gamekeeper.cli.safe_text import safe
from gamekeeper.counted import counted
from gamekeeper.errors import GamekeeperError, SpecError, placed

NARROWEST_MESSAGE = 12
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
    "held": "yellow",
    "suspect": "yellow",
}


def say(text: str = "") -> None:
    """Prints a line; its colours only to a terminal."""
    typer.echo(safe(text), color=None if _is_coloured() else False)


def warn(text: str) -> None:
    """Prints a line to standard error, in yellow on a terminal."""
    _complain(typer.style(text, fg="yellow"))


def _is_coloured() -> bool:
    return not os.environ.get("NO_COLOR")


def dim(text: str) -> str:
    return typer.style(text, dim=True)


def coloured(value: Any, width: int = 0) -> str:
    """The value in the colour of its word, with spaces behind it up to ``width`` columns."""
    text = printable(value)
    colour = _COLOURS.get(text)
    return (typer.style(text, fg=colour) if colour else text) + " " * (width - _width(text))


def printable(value: Any) -> str:
    """The value as one line of text that moves no cursor and changes no terminal, whoever wrote it."""
    words = " ".join(("" if value is None else str(value)).split())
    return words if words.isprintable() else "".join(letter if letter.isprintable() else "\ufffd" for letter in words)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Prints a row as one line. In a pipe it is whole, however long, so that grep and awk work on it; on a narrow
    terminal the last column, which is a message, gives way, and no other."""
    table = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(columns, *table, strict=True)]
    room = _room(widths)
    say(typer.style(_line(columns, widths, room), bold=True))
    for row in table:
        say(_line(row, widths, room))


def _room(widths: Sequence[int]) -> int | None:
    """The letters that the last column may have; None for as many as it wants."""
    if not sys.stdout.isatty():
        return None
    return max(NARROWEST_MESSAGE, shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1))


def _line(cells: Sequence[str], widths: Sequence[int], room: int | None) -> str:
    padded = [coloured(cell, width) for cell, width in zip(cells, widths, strict=True)][:-1]
    return "  ".join([*padded, coloured(_shortened(cells[-1], room))]).rstrip()


def _shortened(text: str, room: int | None) -> str:
    if room is None or _width(text) <= room:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text, room - 1).rstrip() + "…"


def _width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Prints a name and its value a line; the values of a list stand with commas between them."""
    width = max(map(len, fields))
    for name, value in fields.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        say(f"{name:{width}}  {coloured(shown)}".rstrip())


def print_error(error: GamekeeperError) -> None:
    problems = _problems(error)
    said = error.message.partition("; first: ")[0] if problems else error.message
    _complain(f"{typer.style('error:', fg='red')} {said}")
    for problem in problems:
        if _problem_words(problem) != said:  # the only one may be the message itself
            print_problem(problem)
    if error.hint:
        _complain(f"{dim('hint:')} {error.hint}")


def print_error_json(error: GamekeeperError) -> None:
    """Prints the error as a line of JSON to standard error, so that standard output has results alone."""
    fields: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    status = getattr(error, "status", None)
    fields |= {"status": status} if status else {}
    typer.echo(json.dumps({"error": fields | {"problems": _problems(error)}}, default=str), err=True)


def _problems(error: GamekeeperError) -> list[dict[str, Any]]:
    found = error.problems if isinstance(error, SpecError) else getattr(error, "problems", [])
    return [problem if isinstance(problem, dict) else problem.model_dump() for problem in found]


def print_warnings(warnings: Sequence[dict[str, Any]]) -> None:
    """Warnings go to the error stream, as they are no result."""
    if warnings:
        warn(counted(len(warnings), "warning"))
    for warning in warnings:
        print_problem(warning)


def print_problem(problem: dict[str, Any]) -> None:
    _complain(f"  {_problem_words(problem)}")


def _problem_words(problem: dict[str, Any]) -> str:
    where = f"line {problem['line']}: " if problem.get("line") else ""
    hint = f"; {problem['hint']}" if problem.get("hint") else ""
    return f"{where}{placed(problem['path'], problem['message'])}{hint}"


def _complain(text: str) -> None:
    """Prints to standard error, behind all that standard output was given: both may be one pipe."""
    sys.stdout.flush()
    typer.echo(safe(text), err=True, color=None if _is_coloured() else False)


def minute(stamp: str | None) -> str:
    """A time to the minute, in UTC; empty for none."""
    return stamp[:16].replace("T", " ") if stamp else ""


def ago(stamp: str | None) -> str:
    """A time as people say it: ``3 min ago``."""
    if not stamp:
        return "never"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"
