"""``pipeline``: check a file without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gamekeeper.cli.node import JsonOption
from gamekeeper.cli.output import console, print_json, print_problem
from gamekeeper.domain.check import check_document
from gamekeeper.domain.source import parse_text
from gamekeeper.errors import InvalidError, SpecError

app = typer.Typer(no_args_is_help=True, help="Pipeline files.")


def read_file(file: Path) -> str:
    """Raises InvalidError that names the file."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidError(f"{file} is not UTF-8 text (byte {error.start})") from error


@app.command("validate")
def validate(file: Annotated[Path, typer.Argument(help="Pipeline file")], as_json: JsonOption = False) -> None:
    """Check a pipeline, with the errors that the server would give. What only a node knows is checked there."""
    try:
        pipeline, _ = check_document(parse_text(read_file(file)))
    except SpecError as error:
        if as_json:
            print_json({"valid": False, "problems": [problem.model_dump() for problem in error.problems]})
        else:
            console.print(f"[red]{file}: {len(error.problems)} problem(s)[/red]")
            for problem in error.problems:
                print_problem(problem.model_dump())
        raise typer.Exit(2) from None
    if as_json:
        print_json({"valid": True, "problems": []})
    else:
        console.print(f"{file}: pipeline {pipeline.name} with {len(pipeline.steps)} step(s) is valid")
