"""``instance schedule``: times at which an instance is restarted, stopped or started, or gets a line typed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.instance_wait import exact_instance, find_instance
from gamekeeper.cli.options import ExactInstanceArgument, InstanceArgument, JsonOption, NoteOption, ScheduleArgument
from gamekeeper.cli.output import ago, print_fields, print_json, print_table, printable, say

BAD_ENDS = ("busy", "failed", "missed", "skipped")


def list_schedules(context: typer.Context, instance: InstanceArgument, as_json: JsonOption = False) -> None:
    """List the schedules of an instance with their next times and the outcome of their last ones."""
    obj: Context = context.obj
    items = obj.call("GET", f"/instances/{find_instance(obj, instance)['id']}/schedules")["items"]
    if as_json:
        print_json(items)
    else:
        print_schedules(items)


def print_schedules(items: list[dict[str, Any]]) -> None:
    rows = [
        (item["name"], f"{item['cron']} {item['timezone']}", _does(item), _next(item), _last(item)) for item in items
    ]
    print_table(("SCHEDULE", "CRON", "DOES", "NEXT", "LAST"), rows)


def show(
    context: typer.Context, instance: InstanceArgument, schedule: ScheduleArgument, as_json: JsonOption = False
) -> None:
    """Show one schedule of an instance."""
    obj: Context = context.obj
    _print(obj.call("GET", f"/instances/{find_instance(obj, instance)['id']}/schedules/{schedule}"), as_json)


def set_schedule(
    context: typer.Context,
    instance: ExactInstanceArgument,
    schedule: Annotated[str, typer.Argument(metavar="SCHEDULE", help="Its name: a-z, 0-9 and -")],
    cron: Annotated[str, typer.Option(help="Minute, hour, day, month and weekday: '0 5 * * *'; or @daily")],
    timezone: Annotated[str, typer.Option(help="As Europe/Berlin")] = "UTC",
    action: Annotated[str, typer.Option(help="restart, stop or start")] = "",
    command: Annotated[str, typer.Option(help="A line for its console, instead of an action")] = "",
    catch_up: Annotated[str, typer.Option(help="How late a time may still be made up for")] = "10m",
    as_json: JsonOption = False,
) -> None:
    """Give an instance a schedule, or change the one of that name. The instance goes on as it is."""
    body = {"cron": cron, "timezone": timezone, "catch_up": catch_up}
    body |= {name: value for name, value in (("action", action), ("command", command)) if value}
    obj: Context = context.obj
    _print(obj.call("PUT", _path(obj, instance, schedule), json=body), as_json)


def pause(
    context: typer.Context,
    instance: ExactInstanceArgument,
    schedule: ScheduleArgument,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let no time of a schedule come until resume."""
    obj: Context = context.obj
    _print(obj.call("POST", f"{_path(obj, instance, schedule)}/pause", json={"note": note}), as_json)


def resume(
    context: typer.Context,
    instance: ExactInstanceArgument,
    schedule: ScheduleArgument,
    note: NoteOption = "",
    as_json: JsonOption = False,
) -> None:
    """Go on; times that passed meanwhile are not made up for."""
    obj: Context = context.obj
    _print(obj.call("POST", f"{_path(obj, instance, schedule)}/resume", json={"note": note}), as_json)


def trigger(
    context: typer.Context, instance: ExactInstanceArgument, schedule: ScheduleArgument, as_json: JsonOption = False
) -> None:
    """Have a schedule do its work once now. The exit code is 1 when it was not done."""
    obj: Context = context.obj
    found = obj.call("POST", f"{_path(obj, instance, schedule)}/trigger")
    if as_json:
        print_json(found)
    else:
        why = f": {printable(found['last_message'])}" if found["last_message"] else ""
        say(f"{_does(found)}: {found['last_outcome'] or 'asked for'}{why}")
    if found["last_outcome"] in BAD_ENDS:
        raise typer.Exit(1)


def remove(context: typer.Context, instance: ExactInstanceArgument, schedule: ScheduleArgument) -> None:
    """Remove a schedule of an instance; what it has begun goes on."""
    obj: Context = context.obj
    obj.call("DELETE", _path(obj, instance, schedule))
    say(f"{schedule} is removed")


def _path(obj: Context, instance: str, schedule: str) -> str:
    return f"/instances/{exact_instance(obj, instance)['id']}/schedules/{schedule}"


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        told = {"schedule": found["name"], "cron": f"{found['cron']} {found['timezone']}", "does": _does(found)}
        told |= {"next": _next(found), "last": _last(found), "missed": found["missed"] or "", "note": found["note"]}
        told |= {"catch up": found["catch_up"], "set": f"{ago(found['created_at'])} by {found['created_by']}"}
        print_fields({name: value for name, value in told.items() if value != ""})


def _does(item: dict[str, Any]) -> str:
    return f'types "{printable(item["command"])}"' if item["action"] == "command" else str(item["action"])


def _next(item: dict[str, Any]) -> str:
    if item["paused"]:
        return "paused"
    return str(item["next_at"][0]) if item["next_at"] else ""


def _last(item: dict[str, Any]) -> str:
    if not item["last_at"]:
        return "never"
    why = f": {printable(item['last_message'])}" if item["last_message"] else ""
    return f"{item['last_outcome']} {ago(item['last_at'])}{why}"
