"""``user``: make, list, change and remove the users, who call under names of their own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import ago, print_fields, print_json, print_table, say, warn
from gamekeeper.cli.typed import typed_new_password, typed_password
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import UserKind
from gamekeeper.errors import InvalidError, NotFoundError

UserArgument = Annotated[str, typer.Argument(metavar="USER", help="Its name or its id")]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the passwords from standard input, each on a line")
]

RemoveTotpOption = Annotated[
    bool, typer.Option("--remove-totp", help="Turn the user's authenticator off as well: it is lost, with its codes")
]
RemovePasskeysOption = Annotated[
    bool,
    typer.Option("--remove-passkeys", help="Remove the user's passkeys as well: they are lost, or somebody else's"),
]


def list_users(context: typer.Context, as_json: JsonOption = False) -> None:
    """List users, with the last sign-in of each."""
    items = _all(context.obj)
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["name"],
            item["display_name"],
            item["kind"],
            item["role"],
            item["state"],
            ago(item["last_sign_in_at"]),
            item["last_sign_in_from"],
        )
        for item in items
    ]
    print_table(("USER", "NAME", "CALLED", "KIND", "ROLE", "STATE", "SIGNED IN", "FROM"), rows)


def make(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="One word, as events name it")],
    role: Annotated[Role, typer.Option(help="What it may do")] = Role.VIEWER,
    display_name: Annotated[str, typer.Option("--called", help="A name for people, of any words")] = "",
    service: Annotated[
        bool, typer.Option("--service", help="A service, which calls by keys alone: gamekeeper key make --user NAME")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a user. Its one-time password is shown this once."""
    obj: Context = context.obj
    kind = UserKind.SERVICE if service else UserKind.PERSON
    body = {"name": name, "role": role, "display_name": display_name, "kind": kind}
    made = obj.call("POST", "/users", json=body)
    if as_json:
        print_json(made)
        return
    if service:
        say(f"made {made['name']} ({made['id']}), a service; make it a key: gamekeeper key make --user {made['name']}")
        return
    _tell_one_time(made)


def show(context: typer.Context, user: UserArgument, as_json: JsonOption = False) -> None:
    """Show a user: its role, its state, its last sign-in."""
    found = find(context.obj, user)
    if as_json:
        print_json(found)
        return
    print_fields(found)


def edit(
    context: typer.Context,
    user: UserArgument,
    role: Annotated[Role | None, typer.Option(help="What it may do")] = None,
    display_name: Annotated[str | None, typer.Option("--called", help="A name for people, of any words")] = None,
) -> None:
    """Change the role of a user, or what it is called."""
    if role is None and display_name is None:
        raise InvalidError("nothing to change was named", hint="give --role or --called")
    changed = _change(context.obj, user, role=role, display_name=display_name)
    say(f"{changed['name']} is {changed['role']} now")


def disable(context: typer.Context, user: UserArgument) -> None:
    """Disable a user: its keys and sessions end within seconds."""
    say(f"disabled {_change(context.obj, user, state='disabled')['name']}")


def enable(context: typer.Context, user: UserArgument) -> None:
    """Enable a user again. Its keys are good again; it signs in anew."""
    say(f"enabled {_change(context.obj, user, state='active')['name']}")


def remove(context: typer.Context, user: UserArgument) -> None:
    """Remove a user, with its keys and sessions."""
    obj: Context = context.obj
    found = find(obj, user)
    obj.call("DELETE", f"/users/{found['id']}")
    say(f"removed {found['name']}")


def password(
    context: typer.Context,
    user: Annotated[
        str, typer.Argument(metavar="[USER]", help="Gets a one-time password; default: you, who choose a new one")
    ] = "",
    remove_totp: RemoveTotpOption = False,
    remove_passkeys: RemovePasskeysOption = False,
    password_stdin: StdinOption = False,
    as_json: JsonOption = False,
) -> None:
    """Choose a new password for yourself, or give somebody else a one-time one."""
    obj: Context = context.obj
    if user:
        found = find(obj, user)
        if remove_totp:
            obj.call("DELETE", f"/users/{found['id']}/totp")
        made = obj.call("POST", f"/users/{found['id']}/password-reset")
        if remove_passkeys:
            obj.call("DELETE", f"/users/{found['id']}/passkeys")
        print_json(made) if as_json else _tell_one_time(made)
        return
    if not obj.call("GET", "/whoami")["session_id"]:
        raise InvalidError("you call by a key, which has no password", hint="gamekeeper login; or name a user")
    old = typed_password("old password: ", from_stdin=password_stdin)
    new = typed_new_password(from_stdin=password_stdin)
    obj.call("POST", "/users/me/password", json={"old_password": old, "new_password": new})
    say("the password is changed, and your other sessions have ended")


def recover(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name of the user; default: the only admin")] = "",
    remove_totp: RemoveTotpOption = False,
    remove_passkeys: RemovePasskeysOption = False,
) -> None:
    """On the machine of the stack itself: give a user a new one-time password, and end its sessions.

    It needs no server and no key, and may whoever reads the state directory. A user that is disabled is enabled, and
    where there is no user at all, an admin is made."""
    from gamekeeper.stack.recovery import recover as recover_user

    obj: Context = context.obj
    found = recover_user(obj.state, name, removes_totp=remove_totp, removes_passkeys=remove_passkeys)
    say(found.password)
    what = "made" if found.is_new else "recovered"
    warn(f"{what} {found.name} ({found.role}): this password is for one sign-in, and is not shown again")


def find(obj: Context, user: str) -> dict[str, Any]:
    """By its name, or its id. Raises NotFoundError."""
    items = _all(obj)
    named = [item for item in items if item["name"].casefold() == user.casefold()]
    for item in [*named, *(item for item in items if item["id"] == user)]:
        return item
    raise NotFoundError(f'there is no user "{user}"', hint="gamekeeper user ls lists them")


def _change(obj: Context, user: str, **fields: Any) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value is not None}
    changed: dict[str, Any] = obj.call("PATCH", f"/users/{find(obj, user)['id']}", json=given)
    return changed


def _all(obj: Context) -> list[dict[str, Any]]:
    return obj.list_all("/users", {"limit": 500})


def _tell_one_time(made: dict[str, Any]) -> None:
    say(made["one_time_password"])
    warn(
        f"this is for one sign-in of {made['name']} ({made['role']}), until {made['password_until'][:10]}; it is not "
        "shown again"
    )
