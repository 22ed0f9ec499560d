"""``instance``: its log, its console, and commands inside of it."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.follow import INTERRUPTED, print_event
from gamekeeper.cli.follow import events as follow_stream
from gamekeeper.cli.instance_wait import exact_instance, find_instance
from gamekeeper.cli.log_lines import LinePrinter, LogView, print_text
from gamekeeper.cli.options import ExactInstanceArgument, InstanceArgument, RawConsoleOption, RawOption
from gamekeeper.cli.output import warn

LEAVE = b"\x1d"  # Ctrl-]


def logs(
    context: typer.Context,
    instance: InstanceArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until Ctrl-C, over restarts and updates")] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, max=1_000_000, help="The last so many lines, of the last 1 MiB")
    ] = None,
    since: Annotated[str, typer.Option(help="No line before: 10m for ten minutes ago, or 2026-11-01T12:00:00Z")] = "",
    revision: Annotated[int | None, typer.Option(min=1, help="Of this one alone; default: of all, in order")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="The time before each line")] = False,
    raw: RawOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each line")] = False,
) -> None:
    """Print the log of an instance over all its revisions: the bytes that its process wrote."""
    obj: Context = context.obj
    found = find_instance(obj, instance)
    view = LogView(None, tail, since, timestamps, as_json, raw)
    query: dict[str, Any] = view.query() | ({"revision": revision} if revision else {})
    path = f"/instances/{found['id']}/logs"
    if follow or timestamps or as_json:
        _print_lines(obj, path, query | {"follow": "true" if follow else "false", "lines": "true"}, view)
    else:
        print_text(obj, path, query, raw=raw)


def _print_lines(obj: Context, path: str, query: dict[str, Any], view: LogView) -> None:
    printer = LinePrinter(view)
    try:
        for event in follow_stream(obj, path, query):
            print_event(printer, event, {})
            if event.event == "end" and (reason := json.loads(event.data).get("reason")):
                warn(reason)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        printer.end()


def console(
    context: typer.Context,
    instance: ExactInstanceArgument,
    raw: RawConsoleOption = False,
) -> None:
    """The console of an instance: its last lines, then what it writes; lines typed go to its input. Ctrl-] leaves it
    running."""
    from gamekeeper.cli.console import open_console

    obj: Context = context.obj
    found = exact_instance(obj, instance)
    if sys.stdin.isatty():
        warn(f"console of {found['id']}; Ctrl-] leaves it running")
    raise typer.Exit(open_console(obj, f"/instances/{found['id']}/console", [], tty=False, leave=LEAVE, raw=raw))


def execute(
    context: typer.Context,
    instance: ExactInstanceArgument,
    command: Annotated[list[str], typer.Argument(help="Behind --, as in: -- sh -c 'ls /data'")],
    raw: RawConsoleOption = False,
) -> None:
    """Run a command inside a running instance; a terminal when this is one. Its exit code becomes ours."""
    from gamekeeper.cli.console import open_console

    tty = sys.stdin.isatty() and sys.stdout.isatty()
    found = exact_instance(context.obj, instance)
    raise typer.Exit(open_console(context.obj, f"/instances/{found['id']}/exec", command, tty=tty, raw=raw))
