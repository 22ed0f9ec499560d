"""``identity``: the people at the OpenID provider who sign in as users here."""

from __future__ import annotations

from typing import Annotated

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import ago, print_json, print_table, say
from gamekeeper.cli.user import UserArgument, find


def list_identities(context: typer.Context, user: UserArgument, as_json: JsonOption = False) -> None:
    """List the identities of a user, with the last sign-in by each."""
    obj: Context = context.obj
    items = obj.call("GET", f"/users/{find(obj, user)['id']}/identities")["items"]
    if as_json:
        print_json(items)
        return
    rows = [(item["id"], item["issuer"], item["subject"], item["name"], ago(item["last_sign_in_at"])) for item in items]
    print_table(("IDENTITY", "PROVIDER", "SUBJECT", "NAME", "SIGNED IN"), rows)


def link(
    context: typer.Context,
    user: UserArgument,
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="By which the provider knows the person: `sub` of its tokens")
    ],
    as_json: JsonOption = False,
) -> None:
    """Have somebody whom the provider knows sign in as this user."""
    obj: Context = context.obj
    found = find(obj, user)
    made = obj.call("POST", f"/users/{found['id']}/identities", json={"subject": subject})
    if as_json:
        print_json(made)
        return
    say(f"{made['subject']} of {made['issuer']} signs in as {found['name']} now ({made['id']})")


def unlink(
    context: typer.Context,
    user: UserArgument,
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", help="Its id, as `ls` shows it")],
) -> None:
    """Unlink a user from somebody at the provider, and end the sessions that it vouched for."""
    obj: Context = context.obj
    found = find(obj, user)
    obj.call("DELETE", f"/users/{found['id']}/identities/{identity}")
    say(f"unlinked {identity} from {found['name']}")
