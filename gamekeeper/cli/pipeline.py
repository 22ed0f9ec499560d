"""``pipeline``: check and draw a file without a server; store, list and compare versions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import FileArgument, JsonOption, NameArgument, name_and_version, read_file
from gamekeeper.cli.output import ago, print_json, print_problem, print_table, print_warnings, say
from gamekeeper.counted import counted
from gamekeeper.errors import SpecError

if TYPE_CHECKING:
    from gamekeeper.domain.language.check import Checked


def _checked(text: str) -> Checked:
    """Checks a pipeline. Raises SpecError with every problem."""
    # A third of the command's whole start are the imports of the language, which the other commands do without.
    from gamekeeper.domain.language.resolve import validate
    from gamekeeper.domain.language.source import parse_text

    return validate(parse_text(text))


def validate(file: FileArgument, as_json: JsonOption = False) -> None:
    """Check a pipeline, with the errors that the server would give. What only a node knows is checked there."""
    try:
        pipeline, _, warnings = _checked(read_file(file))
    except SpecError as error:
        if as_json:
            problems = [problem.model_dump() for problem in error.problems]
            print_json({"valid": False, "problems": problems, "warnings": []})
        else:
            say(typer.style(f"{file}: {counted(len(error.problems), 'problem')}", fg="red"))
            for problem in error.problems:
                print_problem(problem.model_dump())
        raise typer.Exit(2) from None
    shown = [warning.model_dump() for warning in warnings]
    if as_json:
        print_json({"valid": True, "problems": [], "warnings": shown})
    else:
        print_warnings(shown)
        steps = len(pipeline.steps) + len(pipeline.finally_)
        say(f"{file}: pipeline {pipeline.name} with {counted(steps, 'step')} is valid")


def push(context: typer.Context, file: FileArgument, as_json: JsonOption = False) -> None:
    """Store a pipeline as the next version of its name; a text that is the newest already makes none."""
    obj: Context = context.obj
    stored = obj.call("POST", "/pipelines", json={"yaml": read_file(file)})
    if as_json:
        print_json(stored)
    else:
        print_warnings(stored["warnings"])
        say(f"{stored['name']} is stored as version {stored['version']}")


def list_pipelines(context: typer.Context, as_json: JsonOption = False) -> None:
    """List stored pipelines with their newest versions."""
    obj: Context = context.obj
    items = obj.list_all("/pipelines", {"limit": 500})
    if as_json:
        print_json(items)
    else:
        print_table(("PIPELINE", "VERSION", "STORED", "BY", ""), [_row(item, item["name"]) for item in items])


def _row(item: dict[str, Any], *first: str) -> tuple[Any, ...]:
    return *first, item["version"], ago(item["created_at"]), item["created_by"], item["description"]


def _stored(obj: Context, name: str) -> dict[str, Any]:
    """One version by ``NAME@3``, or the newest."""
    name, version = name_and_version(name)
    path = f"/pipelines/{name}" + (f"/versions/{version}" if version is not None else "")
    found: dict[str, Any] = obj.call("GET", path)
    return found


def show(context: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Print a stored pipeline; with --json also its version and who stored it."""
    found = _stored(context.obj, name)
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(found["source"])


def versions(context: typer.Context, name: Annotated[str, typer.Argument()], as_json: JsonOption = False) -> None:
    """List the versions of a pipeline, newest first."""
    obj: Context = context.obj
    items = obj.list_all(f"/pipelines/{name}/versions", {"limit": 500})
    if as_json:
        print_json(items)
    else:
        print_table(("VERSION", "STORED", "BY", ""), [_row(item) for item in items])


def diff(
    context: typer.Context,
    name: Annotated[str, typer.Argument()],
    old: Annotated[int, typer.Argument(min=1)],
    new: Annotated[int | None, typer.Argument(min=1, help="Default: the newest")] = None,
) -> None:
    """Show what changed between two versions."""
    obj: Context = context.obj
    parameters = {"from": old, "to": new or _stored(obj, name)["version"]}
    sys.stdout.write(obj.text(f"/pipelines/{name}/diff", parameters))


def remove(context: typer.Context, name: Annotated[str, typer.Argument()]) -> None:
    """Delete a stored pipeline with all its versions; its runs stay."""
    obj: Context = context.obj
    obj.call("DELETE", f"/pipelines/{name}")
    say(f"{name} is deleted")


def graph(context: typer.Context, source: Annotated[str, typer.Argument(metavar="FILE|NAME[@VERSION]")]) -> None:
    """Print the steps as a Mermaid flowchart, of a file without a server, or of a stored pipeline."""
    path = Path(source)
    text = read_file(path) if path.exists() else _stored(context.obj, source)["source"]
    from gamekeeper.domain.language.pipeline_diff import mermaid

    sys.stdout.write(mermaid(_checked(text).pipeline))
