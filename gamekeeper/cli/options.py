"""Options and arguments that several commands share, and the readers of their values.

Each is written once, so that the same option has the same name, help and errors in every command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamekeeper.errors import InvalidError

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON")]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Show progress and logs until the end")]
ArgsOption = Annotated[list[str] | None, typer.Option("--arg", help="KEY=VALUE, repeatable")]
EnvsOption = Annotated[list[str] | None, typer.Option("--env", help="KEY=VALUE, repeatable")]
LabelsOption = Annotated[list[str] | None, typer.Option("--label", help="KEY=VALUE, repeatable")]
NodeOption = Annotated[str, typer.Option(help="For every step that names no node")]
CommentOption = Annotated[str, typer.Option("--comment", "-m", help="Why, for those who look later")]
NoteOption = Annotated[str, typer.Option("--note", "-m", help="Why, for those who look later")]
StateDirOption = Annotated[Path | None, typer.Option(help="Where everything is kept")]

RunArgument = Annotated[str, typer.Argument(metavar="RUN")]
StepArgument = Annotated[str, typer.Argument(metavar="STEP")]
ScheduleArgument = Annotated[str, typer.Argument(metavar="SCHEDULE")]
FileArgument = Annotated[Path, typer.Argument(help="Pipeline file")]
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


def read_file(file: Path) -> str:
    """Raises InvalidError that names the file."""
    try:
        return file.read_text(encoding="utf-8")
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
