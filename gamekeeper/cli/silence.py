"""``silence``: mute alarms for a while, see what is muted, and end a silence before its time."""

from __future__ import annotations

from typing import Annotated

import typer

from gamekeeper.cli.alarm import ForOption
from gamekeeper.cli.channel import Kinds
from gamekeeper.cli.context import Context
from gamekeeper.cli.options import CommentOption, JsonOption, LabelsOption, pairs
from gamekeeper.cli.output import print_json, print_table, say


def make(
    context: typer.Context,
    on: Annotated[Kinds, typer.Option(help="Kind of object; a node's silence covers what is on it")] = Kinds.ALL,
    object_id: Annotated[list[str] | None, typer.Option("--id", help="Only this one, repeatable; or eu-*")] = None,
    label: LabelsOption = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only alarms of this rule, repeatable")] = None,
    lifetime: ForOption = "1h",
    comment: CommentOption = "",
) -> None:
    """Mute alarms: they are raised and shown as muted, and nobody is told."""
    obj: Context = context.obj
    selection = {"kind": on.value, "ids": object_id or [], "labels": pairs(label, "--label")}
    body = {"on": selection, "rules": rule or [], "for": lifetime, "reason": comment}
    made = obj.call("POST", "/silences", json=body)
    say(f"silence {made['id']} until {_minute(made['until'])} UTC")


def list_silences(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the silences that stand, the next to end first."""
    items = context.obj.call("GET", "/silences")["items"]
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            objects(item["on"]),
            ", ".join(item["rules"]) or "all",
            _minute(item["until"]),
            item["created_by"],
            item["reason"],
        )
        for item in items
    ]
    print_table(("SILENCE", "OF", "RULES", "UNTIL (UTC)", "BY", "WHY"), rows)


def end(context: typer.Context, silence: Annotated[str, typer.Argument(metavar="SILENCE", help="Its id")]) -> None:
    """End a silence before its time. What it muted and still stands is told now."""
    context.obj.call("DELETE", f"/silences/{silence}")
    say(f"ended silence {silence}")


def objects(on: dict[str, object]) -> str:
    """The objects of a selection, in words."""
    ids, labels = on["ids"], on["labels"]
    assert isinstance(ids, list)
    assert isinstance(labels, dict)
    parts = [*ids, *(f"{key}={value}" for key, value in labels.items())]
    if not parts:
        return "everything" if on["kind"] == "all" else f"every {on['kind']}"
    return f"{on['kind']} {', '.join(parts)}"


def _minute(stamp: str) -> str:
    return stamp[:16].replace("T", " ")
