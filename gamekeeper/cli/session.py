"""``session``: who is signed in, from where, and since when."""

from __future__ import annotations

from typing import Annotated

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import ago, print_json, print_table, say
from gamekeeper.cli.user import find


def list_sessions(
    context: typer.Context,
    user: Annotated[str, typer.Option(help="Of this user, by its name or its id; default: your own")] = "",
    everybody: Annotated[bool, typer.Option("--all", help="Of all users")] = False,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that ended or ran out")] = False,
    as_json: JsonOption = False,
) -> None:
    """List sessions that are open."""
    obj: Context = context.obj
    whose = "all" if everybody else find(obj, user)["id"] if user else "me"
    items = obj.list_all("/sessions", {"limit": 500, "user": whose})
    items = [item for item in items if ended or item["state"] == "open"]
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["user"],
            item["state"],
            ago(item["created_at"]),
            ago(item["last_used_at"]),
            item["last_used_from"],
            item["agent"] + (" (this one)" if item["is_this"] else ""),
        )
        for item in items
    ]
    print_table(("SESSION", "USER", "STATE", "BEGUN", "USED", "FROM", "BY"), rows)


def end(
    context: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="Its id")],
) -> None:
    """End a session: what goes on by it ends within seconds."""
    context.obj.call("DELETE", f"/sessions/{session}")
    say(f"ended {session}")
