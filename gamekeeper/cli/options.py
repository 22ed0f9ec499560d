"""Options and arguments that several commands share, and the readers of their values.

Each is written once, so that the same option has the same name, help and errors in every command.
"""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gamekeeper.errors import InvalidError

if TYPE_CHECKING:
    from gamekeeper.cli.context import Context


class Strategy(StrEnum):
    """As in the language, whose import would slow down every command."""

    RECREATE = "recreate"
    BLUE_GREEN = "blue_green"


STDIN = "-"
RUN_ID = re.compile(r"[0-9a-f]{16}")
_SHOWN_CANDIDATES = 8


def whole_run_id(context: typer.Context, value: str) -> str:
    """The id of the one run that begins so. Raises InvalidError that names several; none is for the server to tell."""
    if not value or context.resilient_parsing or not re.fullmatch(r"[0-9a-zA-Z-]{1,32}", value):
        return value
    if RUN_ID.fullmatch(value):
        return value
    obj: Context = context.obj
    found = obj.call("GET", "/runs", params={"prefix": value, "limit": _SHOWN_CANDIDATES + 1})["items"]
    if len(found) < 2 or any(run["id"] == value for run in found):
        return str(found[0]["id"]) if len(found) == 1 else value
    named = ", ".join(f"{run['id']} ({run['pipeline']}, {run['state']})" for run in found[:_SHOWN_CANDIDATES])
    more = " and more" if len(found) > _SHOWN_CANDIDATES else ""
    raise InvalidError(f'several runs begin with "{value}": {named}{more}', hint="give more of the id")


def _named_run(context: typer.Context, value: str) -> str:
    """As ``whole_run_id``, where a run has to be named: a variable of a script may be empty."""
    if not value:
        raise InvalidError("RUN is empty", hint="gamekeeper runs ls lists them")
    return whole_run_id(context, value)


RawOption = Annotated[
    bool,
    typer.Option(
        "--raw", help="The bytes as written on a terminal too, as a pipe gets them: they may move its cursor and more"
    ),
]
RawConsoleOption = Annotated[
    bool,
    typer.Option("--raw", help="Every byte to a terminal, those too that set its title or clipboard or have it answer"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON")]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Show progress and logs until the end")]
ArgsOption = Annotated[
    list[str] | None, typer.Option("--arg", help="KEY=VALUE, repeatable; an array or object as JSON: 'maps=[\"a\"]'")
]
EnvsOption = Annotated[list[str] | None, typer.Option("--env", help="KEY=VALUE, repeatable")]
LabelsOption = Annotated[list[str] | None, typer.Option("--label", help="KEY=VALUE, repeatable")]
CapacityOption = Annotated[
    list[str] | None, typer.Option(help="KEY=NUMBER, repeatable: replaces what the machine reports")
]
NodeOption = Annotated[str, typer.Option(help="For every step that names no node; default: the only node")]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="Why, for those who look later")]
NoteOption = Annotated[str, typer.Option("--note", "-m", help="Why, for those who look later")]
StateDirOption = Annotated[Path | None, typer.Option(help="Where everything is kept")]

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Its id, or the beginning of it", callback=_named_run)]
InstanceArgument = Annotated[str, typer.Argument(metavar="INSTANCE", help="Its id, or the beginning of it")]
ExactInstanceArgument = Annotated[str, typer.Argument(metavar="INSTANCE", help="Its whole id")]
NoWaitOption = Annotated[bool, typer.Option("--no-wait", help="Ask for it, and do not wait until it is done")]
NoRevertOption = Annotated[
    bool, typer.Option("--no-auto-revert", help="Leave the new revision in place when it does not get ready")
]
StrategyOption = Annotated[
    Strategy,
    typer.Option(help="recreate stops the old one, then starts the new one; blue_green stops it once the new is ready"),
]
ReasonOption = Annotated[str, typer.Option("--reason", "-m", help="Why, for those who look later")]
StepArgument = Annotated[str, typer.Argument(metavar="STEP")]
ScheduleArgument = Annotated[str, typer.Argument(metavar="SCHEDULE")]
FileArgument = Annotated[Path, typer.Argument(help="Pipeline file; - reads standard input")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME[@VERSION]")]


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """``["A=1"]`` as a mapping. Raises InvalidError that shows the right spelling."""
    result = {}
    for text in texts or []:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise InvalidError(f'{option} "{text}" is not KEY=VALUE')
        result[key] = value
    return result


def numbers(capacity: list[str] | None) -> dict[str, int]:
    """The values of ``--capacity``. Raises InvalidError for what is no number."""
    try:
        return {key: int(value) for key, value in pairs(capacity, "--capacity").items()}
    except ValueError as error:
        raise InvalidError("--capacity takes whole numbers", hint="as in --capacity memory_bytes=8000000000") from error


def read_file(file: Path) -> str:
    """Raises InvalidError that names the file."""
    try:
        return (sys.stdin.buffer.read() if str(file) == STDIN else file.read_bytes()).decode()
    except OSError as error:
        raise InvalidError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidError(f"{file} is not UTF-8 text (byte {error.start})") from error


def name_and_version(text: str) -> tuple[str, int | None]:
    """Splits ``NAME`` or ``NAME@3``."""
    name, at, version = text.partition("@")
    if at and not version.isdecimal():
        raise InvalidError(f'"{version}" is no version; write {name}@3')
    return name, int(version) if at else None
