"""``user passkey``: passkeys, by which users sign in. They are added in a browser, which has the authenticator."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import ago, print_json, print_table, say
from gamekeeper.cli.own_proof import typed_proof
from gamekeeper.cli.user import StdinOption, find
from gamekeeper.errors import InvalidError, NotFoundError

UserOption = Annotated[str, typer.Option("--user", help="Of this user, by its name or its id; default: your own")]


def list_passkeys(context: typer.Context, user: UserOption = "", as_json: JsonOption = False) -> None:
    """List passkeys, with the last use of each."""
    items = _all(context.obj, _whose(context.obj, user))
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["name"],
            item["rp_id"],
            "yes" if item["is_synced"] else "no",
            ago(item["created_at"]),
            ago(item["last_used_at"]),
            item["last_used_from"],
        )
        for item in items
    ]
    print_table(("PASSKEY", "NAME", "OF", "SYNCED", "ADDED", "USED", "FROM"), rows)


def remove(
    context: typer.Context,
    passkey: Annotated[str, typer.Argument(metavar="[PASSKEY]", help="Its name or its id")] = "",
    user: UserOption = "",
    everything: Annotated[bool, typer.Option("--all", help="All of them; needs --user")] = False,
    password_stdin: StdinOption = False,
) -> None:
    """Remove a passkey, and end the user's other sessions. One of your own asks for your password; your last way to
    sign in stays."""
    obj: Context = context.obj
    if bool(passkey) == everything:
        raise InvalidError("one passkey or all of a user are removed", hint="name one, or give --user NAME --all")
    if everything and not user:
        raise InvalidError("all passkeys are removed of a user that is named", hint="--user NAME --all")
    whose = _whose(obj, user)
    if everything:
        obj.call("DELETE", f"/users/{whose}/passkeys")
        say(f"removed all passkeys of {user}")
        return
    found = _find(_all(obj, whose), passkey)
    path = f"/users/{whose}/passkeys/{found['id']}"
    if user:
        obj.call("DELETE", path)
    else:
        obj.call("POST", f"{path}/remove", json=typed_proof(obj, from_stdin=password_stdin))
    say(f"removed {found['name']}")


def _whose(obj: Context, user: str) -> str:
    return str(find(obj, user)["id"]) if user else "me"


def _all(obj: Context, whose: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = obj.call("GET", f"/users/{whose}/passkeys")["items"]
    return items


def _find(items: list[dict[str, Any]], passkey: str) -> dict[str, Any]:
    named = [item for item in items if item["name"].casefold() == passkey.casefold()]
    for item in [*named, *(item for item in items if item["id"] == passkey)]:
        return item
    raise NotFoundError(f'there is no passkey "{passkey}"', hint="gamekeeper user passkey ls lists them")
