"""``schedule``: runs that start by themselves, as a stored pipeline's ``schedule`` says."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import (
    ArgsOption,
    EnvsOption,
    JsonOption,
    NodeOption,
    NoteOption,
    ScheduleArgument,
    name_and_version,
    pairs,
)
from gamekeeper.cli.output import ago, print_fields, print_json, print_table, say
from gamekeeper.counted import counted


def apply(
    context: typer.Context,
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE[@VERSION]", help="With a version: pinned to it")],
    arg: ArgsOption = None,
    env: EnvsOption = None,
    node: NodeOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make the schedules of a stored pipeline what its own `schedule` says."""
    obj: Context = context.obj
    name, version = name_and_version(pipeline)
    body = {
        "version": version,
        "args": pairs(arg, "--arg"),
        "envs": pairs(env, "--env"),
        "node": node or None,
    }
    _show(obj.call("PUT", f"/pipelines/{name}/schedules", json=body)["items"], as_json)


def list_schedules(context: typer.Context, as_json: JsonOption = False) -> None:
    """List schedules with their next runs."""
    obj: Context = context.obj
    _show(obj.call("GET", "/schedules")["items"], as_json)


def show(context: typer.Context, schedule: ScheduleArgument, as_json: JsonOption = False) -> None:
    """Show a schedule with its next runs."""
    obj: Context = context.obj
    found = obj.call("GET", f"/schedules/{schedule}")
    if as_json:
        print_json(found)
        return
    print_fields(found | {"version": found["version"] or "the newest at each time"})


def pause(
    context: typer.Context, schedule: ScheduleArgument, note: NoteOption = "", as_json: JsonOption = False
) -> None:
    """Start no further runs until resume."""
    _ask(context, schedule, "pause", {"note": note}, f"{schedule} is paused", as_json)


def resume(
    context: typer.Context, schedule: ScheduleArgument, note: NoteOption = "", as_json: JsonOption = False
) -> None:
    """Go on; times that passed meanwhile are not made up for."""
    _ask(context, schedule, "resume", {"note": note}, f"{schedule} goes on", as_json)


def trigger(context: typer.Context, schedule: ScheduleArgument, as_json: JsonOption = False) -> None:
    """Start one run now."""
    done = f"a run is started; see gamekeeper runs ls --schedule {schedule}"
    _ask(context, schedule, "trigger", None, done, as_json)


def backfill(
    context: typer.Context,
    schedule: ScheduleArgument,
    start: Annotated[str, typer.Option("--from", help="2026-11-01T00:00:00Z")],
    end: Annotated[str, typer.Option("--to", help="2026-11-02T00:00:00Z")],
    overlap: Annotated[str, typer.Option(help="skip, queue, allow or cancel_old")] = "queue",
    as_json: JsonOption = False,
) -> None:
    """Start the runs of a span of the past."""
    obj: Context = context.obj
    body = {"from": start, "to": end, "overlap": overlap}
    found = obj.call("POST", f"/schedules/{schedule}/backfill", json=body)
    if as_json:
        print_json(found)
    else:
        say(f"started {counted(found['runs'], 'run')}; see gamekeeper runs ls --schedule {schedule}")


def remove(context: typer.Context, schedule: ScheduleArgument) -> None:
    """Delete a schedule; its runs stay."""
    obj: Context = context.obj
    obj.call("DELETE", f"/schedules/{schedule}")
    say(f"{schedule} is deleted")


def _ask(
    context: typer.Context, schedule: str, what: str, body: dict[str, Any] | None, done: str, as_json: bool
) -> None:
    obj: Context = context.obj
    found = obj.call("POST", f"/schedules/{schedule}/{what}", json=body)
    if as_json:
        print_json(found)
    else:
        say(done)


def _show(items: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            f"{item['cron']} {item['timezone']}",
            item["overlap"],
            "paused" if item["paused"] else (item["next_at"][0] if item["next_at"] else ""),
            ago(item["last_at"]) if item["last_at"] else "never",
            item["note"],
        )
        for item in items
    ]
    print_table(("SCHEDULE", "CRON", "OVERLAP", "NEXT", "LAST", ""), rows)
