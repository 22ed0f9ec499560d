"""``payload-key``: ls, rotate, drop, give-up."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import minute, print_json, print_table, say
from gamekeeper.errors import InvalidError

DELAY_SECONDS = 60
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, as `payload-key ls` shows it")]


def list_keys(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the keys that encrypt what goes through Temporal, and what can't be read for want of one."""
    obj: Context = context.obj
    found = obj.call("GET", "/payload-keys")
    if as_json:
        print_json(found)
        return
    print_table(("KEY", "STATE", "WRITES FROM", "UNTIL", "HISTORIES"), [_row(key) for key in found["items"]])
    for key in found["items"]:
        if key["open"]:
            say(f"{key['id']} is needed by what goes on: {', '.join(key['open'][:5])}")
    for trouble in found["troubles"]:
        say(f"{trouble['reader']} can't read {trouble['subject'] or 'its work'}: {trouble['message']}")


def rotate(
    context: typer.Context,
    delay: Annotated[
        int, typer.Option(min=0, max=7 * 86_400, metavar="SECONDS", help="Time until the new key encrypts")
    ] = DELAY_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Make a new key. What goes on goes on, with the keys of before; it encrypts what is new after the delay."""
    obj: Context = context.obj
    made = obj.call("POST", "/payload-keys/rotate", json={"delay_seconds": delay})
    if as_json:
        print_json(made)
        return
    say(f"key {made['id']} encrypts from {minute(made['writes_from'])} UTC on; put the file of the keys into a backup")


def drop(context: typer.Context, key: KeyArgument) -> None:
    """Drop a key that no history in Temporal needs any more."""
    obj: Context = context.obj
    obj.call("DELETE", f"/payload-keys/{key}")
    say(f"key {key} is gone")


def give_up(
    context: typer.Context,
    key: KeyArgument,
    yes: Annotated[bool, typer.Option("--yes", help="What it encrypted is lost: you want that")] = False,
) -> None:
    """Give a key up that is lost, or in wrong hands: runs that need it fail, and new ones use another."""
    obj: Context = context.obj
    if not yes:
        raise InvalidError(
            f"what was encrypted with {key} can never be read again, and the runs that need it fail",
            hint="where that is wanted, add --yes; a file of the keys in a backup makes it good without",
        )
    obj.call("POST", f"/payload-keys/{key}/give-up", json={})
    say(f"key {key} is given up: runs that need it fail within some ten minutes, when Temporal tries them again")


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    until = key["given_up_at"] or key["wrote_until"]
    histories = "" if key["histories"] is None else str(key["histories"])
    return (key["id"], key["state"], minute(key["writes_from"]), minute(until), histories)
