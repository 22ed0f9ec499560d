"""``run`` and ``runs``: submit, list, show, follow."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.follow import follow_log, follow_run
from gamekeeper.cli.log_lines import LogView, print_lines, print_log
from gamekeeper.cli.options import (
    ArgsOption,
    EnvsOption,
    FollowOption,
    JsonOption,
    NodeOption,
    RawConsoleOption,
    RawOption,
    RunArgument,
    name_and_version,
    pairs,
    read_file,
    whole_run_id,
)
from gamekeeper.cli.output import ago, coloured, print_json, print_table, print_warnings, printable, say
from gamekeeper.cli.waiting import waits_of
from gamekeeper.errors import InvalidError

FAILED = 1
_STORED = re.compile(r"[a-z0-9-]{2,63}(@[0-9]+)?")  # else it is a file, whether it is there or not


def run(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE|NAME[@VERSION]", help="Pipeline file, - for standard input, or a stored one")
    ] = "",
    pipeline: Annotated[str, typer.Option(help="A stored pipeline instead, as NAME or NAME@VERSION")] = "",
    arg: ArgsOption = None,
    env: EnvsOption = None,
    node: NodeOption = "",
    follow: FollowOption = False,
    raw: RawOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, start nothing")] = False,
    idempotency_key: Annotated[str, typer.Option(help="The same key gives the same run")] = "",
    as_json: JsonOption = False,
) -> None:
    """Run a pipeline. With --follow the exit code is 1 unless it succeeds."""
    obj: Context = context.obj
    given = {"args": pairs(arg, "--arg"), "envs": pairs(env, "--env"), "node": node or None}
    body = _source(source, pipeline) | given
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    answer = obj.call("POST", "/runs", json=body, headers=headers, params={"dry_run": dry_run})
    if not as_json:
        print_warnings(answer["warnings"])
    if dry_run:
        _print_plan(answer, as_json)
        return
    show_started(obj, answer, follow, as_json, raw=raw)


def _source(source: str, pipeline: str) -> dict[str, Any]:
    if bool(source) == bool(pipeline):
        raise InvalidError("give a pipeline file or --pipeline NAME, one of both")
    if source and not (_STORED.fullmatch(source) and not Path(source).exists()):
        return {"yaml": read_file(Path(source))}
    name, version = name_and_version(pipeline or source)
    return {"pipeline": name, "version": version}


def show_started(obj: Context, answer: dict[str, Any], follow: bool, as_json: bool, *, raw: bool) -> None:
    """Tells of a new run; with ``follow`` stays until its end, and leaves with its exit code."""
    if not follow:
        _print_started(answer, as_json)
        return
    if not as_json:
        say(f"run {answer['id']} of {answer['pipeline']}")
    _stay(obj, answer["id"], as_json, quiet=as_json, raw=raw)


def _print_started(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        say(f"run {answer['id']} of {answer['pipeline']}; follow it: gamekeeper runs logs -f {answer['id']}")


def _print_plan(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    steps = answer["pipeline"]["steps"] + answer["pipeline"]["finally_"]
    rows = [(step["name"], step.get("type", "job"), step["node"], ", ".join(step["needs"])) for step in steps]
    print_table(("STEP", "TYPE", "NODE", "NEEDS"), rows)


def list_runs(
    context: typer.Context,
    state: str = "",
    node: str = "",
    pipeline: str = "",
    schedule: Annotated[str, typer.Option(help="Those that it has started")] = "",
    parent: Annotated[str, typer.Option(callback=whole_run_id, help="The steps of this run that run pipelines")] = "",
    group: Annotated[str, typer.Option(help="Concurrency group")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many")] = 50,
    label: Annotated[str, typer.Option(help="KEY=VALUE")] = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="Those that wait for something outside")] = False,
    every: Annotated[bool, typer.Option("--all", help="All pages")] = False,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    obj: Context = context.obj
    filters: dict[str, Any] = {"state": state, "node": node, "pipeline": pipeline, "schedule": schedule}
    filters |= {"parent": parent, "group": group, "label": label, "waiting": waiting, "limit": 500 if every else limit}
    parameters = {key: value for key, value in filters.items() if value}
    items = obj.list_all("/runs", parameters) if every else obj.call("GET", "/runs", params=parameters)["items"]
    if as_json:
        print_json(items)
        return
    rows = [
        (item["id"], item["pipeline"], item["state"], ago(item["created_at"]), item["waiting"] or item["message"])
        for item in items
    ]
    print_table(("RUN", "PIPELINE", "STATE", "CREATED", ""), rows)


def show(context: typer.Context, run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Show a run with its steps."""
    obj: Context = context.obj
    _print_run(obj.call("GET", f"/runs/{run_id}"), as_json)


def wait(context: typer.Context, run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Wait for a run's end and show it. The exit code is 1 unless it succeeded."""
    _stay(context.obj, run_id, as_json, quiet=True)


def _stay(obj: Context, run_id: str, as_json: bool, *, quiet: bool, raw: bool = False) -> None:
    follow_run(obj, run_id, LogView(raw=raw), quiet=quiet)
    ended = obj.call("GET", f"/runs/{run_id}")
    _print_run(ended, as_json)
    if ended["state"] != "succeeded":
        raise typer.Exit(FAILED)


def _print_run(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    about = f"run {found['id']} of {found['pipeline']}: {coloured(found['state'])} {printable(found['message'])}"
    say(about.rstrip())
    if found["parent_run"]:
        say(f"step {found['parent_step']} of run {found['parent_run']}")
    if found["schedule"]:
        say(f"started by schedule {found['schedule']}")
    rows = [
        (
            step["name"],
            step["state"],
            step["reason"],
            step["node"],
            step["try"] or "",
            "" if step["exit_code"] is None else step["exit_code"],
            "; ".join(filter(None, (step["message"], step["trouble"], _ports_of(step), _answers_of(step)))),
        )
        for step in found["steps"]
    ]
    print_table(("STEP", "STATE", "REASON", "NODE", "TRY", "EXIT", ""), rows)
    for line in waits_of(found):
        say(line)


def _answers_of(step: dict[str, Any]) -> str:
    """Of an approval that does not ask yet, the people who will; of one that asks, the line below the table tells."""
    allowed = step.get("allow") or []
    return f"to be answered by {', '.join(allowed)}" if allowed and step["state"] == "pending" else ""


def _ports_of(step: dict[str, Any]) -> str:
    """An api of a version before tells none."""
    named = step.get("named_ports") or {}
    return ", ".join(f"{name} at {number}" if name != str(number) else name for name, number in named.items())


def logs(
    context: typer.Context,
    run_id: RunArgument,
    step: Annotated[str, typer.Argument(help="Default: every step")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the log ends")] = False,
    try_number: Annotated[int | None, typer.Option("--try", min=1, help="Default: the newest")] = None,
    merge: Annotated[bool, typer.Option("--merge", help="All steps' lines in the order of their time")] = False,
    tail: Annotated[int | None, typer.Option(min=0, max=1_000_000, help="The last so many lines of each step")] = None,
    since: Annotated[str, typer.Option(help="No line before: 10m for ten minutes ago, or 2026-11-01T12:00:00Z")] = "",
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="The time before each line")] = False,
    raw: RawOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each line")] = False,
) -> None:
    """Print a step's log, or every step's: the bytes that its container wrote."""
    obj: Context = context.obj
    view = LogView(try_number, tail, since, timestamps, as_json, raw)
    if follow and not step:
        follow_run(obj, run_id, view)
    elif follow:
        follow_log(obj, run_id, step, view)
    elif not step and (merge or timestamps or as_json):
        print_lines(obj, run_id, view)
    else:
        names = [step] if step else [item["name"] for item in obj.call("GET", f"/runs/{run_id}")["steps"]]
        for name in names:
            print_log(obj, run_id, name, view, title=len(names) > 1)


def execute(
    context: typer.Context,
    run_id: RunArgument,
    step: Annotated[str, typer.Argument()],
    command: Annotated[list[str], typer.Argument(help="Behind --, as in: -- sh -c 'ls /data'")],
    raw: RawConsoleOption = False,
) -> None:
    """Run a command in a step's running container; a terminal when this is one. Its exit code becomes ours."""
    from gamekeeper.cli.console import open_console

    tty = sys.stdin.isatty() and sys.stdout.isatty()
    raise typer.Exit(open_console(context.obj, f"/runs/{run_id}/steps/{step}/exec", command, tty=tty, raw=raw))


def attach(
    context: typer.Context,
    run_id: RunArgument,
    step: Annotated[str, typer.Argument()],
    raw: RawConsoleOption = False,
) -> None:
    """The console of a step's own process, from now on; lines typed go to its input. Ctrl-C leaves it running."""
    from gamekeeper.cli.console import open_console

    raise typer.Exit(open_console(context.obj, f"/runs/{run_id}/steps/{step}/attach", [], tty=False, raw=raw))
