"""``window``: maintenance windows that come again, and those that Gamekeeper's own work has opened."""

from __future__ import annotations

from typing import Annotated

import typer

from gamekeeper.cli.channel import Kinds
from gamekeeper.cli.context import Context
from gamekeeper.cli.options import CommentOption, JsonOption, LabelsOption, pairs
from gamekeeper.cli.output import print_json, print_table, say
from gamekeeper.cli.silence import objects

WindowArgument = Annotated[str, typer.Argument(metavar="NAME")]


def set_window(
    context: typer.Context,
    name: WindowArgument,
    cron: Annotated[str, typer.Option(metavar="LINE", help="When it begins, as '0 4 * * TUE'")],
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long it lasts, as 2h")],
    timezone: Annotated[str, typer.Option(help="The clock that --cron is read by")] = "UTC",
    on: Annotated[Kinds, typer.Option(help="Kind of object; a node's window covers what is on it")] = Kinds.ALL,
    object_id: Annotated[list[str] | None, typer.Option("--id", help="Only this one, repeatable; or eu-*")] = None,
    label: LabelsOption = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only alarms of this rule, repeatable")] = None,
    comment: CommentOption = "",
) -> None:
    """Make a recurring window, or replace one. While it is open, alarms are raised and nobody is told."""
    obj: Context = context.obj
    body = {
        "on": {"kind": on.value, "ids": object_id or [], "labels": pairs(label, "--label")},
        "rules": rule or [],
        "cron": cron,
        "timezone": timezone,
        "duration": duration,
        "reason": comment,
    }
    done = obj.call("PUT", f"/windows/{name}", json=body)
    say(f"window {name}: {done['cron']} {done['timezone']} for {done['duration']}, of {objects(done['on'])}")


def list_windows(context: typer.Context, as_json: JsonOption = False) -> None:
    """List recurring windows, and those of drains and updates that go on."""
    items = context.obj.call("GET", "/windows")["items"]
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["name"],
            item["source"],
            objects(item["on"]),
            f"{item['cron']} {item['timezone']} for {item['duration']}" if item["cron"] else "",
            item["open_until"][:16].replace("T", " ") if item["open_until"] else "closed",
            item["reason"],
        )
        for item in items
    ]
    print_table(("WINDOW", "FROM", "OF", "TIMES", "OPEN UNTIL (UTC)", "WHY"), rows)


def remove(context: typer.Context, name: WindowArgument) -> None:
    """Remove a recurring window. What it muted and still stands is told now."""
    context.obj.call("DELETE", f"/windows/{name}")
    say(f"removed window {name}")
