"""``events``: the operation log, listed or followed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.follow import events as follow_stream
from gamekeeper.cli.options import JsonOption, whole_run_id
from gamekeeper.cli.output import coloured, dim, print_json, say, warn


def events(
    context: typer.Context,
    kind: Annotated[list[str] | None, typer.Option(help='"node.offline", or all of "node"; repeatable')] = None,
    node: str = "",
    run: Annotated[str, typer.Option(callback=whole_run_id, help="A run's id, or the beginning of it")] = "",
    step: str = "",
    instance: str = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show what happens from now on")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many of the newest")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what happened to nodes, runs, steps, instances and containers; newest last."""
    wanted = {"kind": kind or [], "node": node, "run": run, "step": step, "instance": instance}
    show_events(context.obj, wanted, follow=follow, limit=limit, as_json=as_json)


def show_events(obj: Context, wanted: dict[str, Any], *, follow: bool, limit: int, as_json: bool) -> None:
    """Prints the newest events, or those that come from now on."""
    if not follow:
        found = obj.call("GET", "/events", params=wanted | {"limit": limit})["items"]
        if as_json:
            print_json(found)
            return
        for event in reversed(found):
            _print(event)
        return
    for message in follow_stream(obj, "/events", wanted | {"follow": "true"}):
        fields = json.loads(message.data)
        if message.event == "gap":
            warn(f"events {fields['from']} to {fields['to']} are no longer kept")
        elif as_json:
            print(json.dumps(fields), flush=True)
        else:
            _print(fields)


def _print(event: dict[str, Any]) -> None:
    subject = "/".join(part for part in (event["instance"] or event["run"] or event["node"], event["step"]) if part)
    what, _, state = event["kind"].partition(".")
    told = (event["reason"], event["message"])
    if event["kind"] == "instance.asked":  # what was asked for, and then why
        told = (event["message"], f"({event['reason']})" if event["reason"] else "")
    why = " ".join(part for part in (*told, _by(event["actor"])) if part)
    say(
        dim(f"{event['seq']:>7} {event['at'][:19].replace('T', ' ')}")
        + f" {what:9} {coloured(state, 22)} {subject:24} {coloured(why)}"
    )


def _by(actor: str) -> str:
    """The one who did it, where that is somebody: what goes on by itself is of the agent there or of the system."""
    return "" if not actor or actor == "system" or actor.startswith("agent:") else f"by {actor}"
