"""``key``: make, list, rotate and revoke the API keys, by which people and programs call."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import ago, minute, print_fields, print_json, print_table, printable, say, warn
from gamekeeper.cli.user import find as find_user
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import ME
from gamekeeper.errors import InvalidError, NotFoundError, UnavailableError
from gamekeeper.keys import api_key_id, is_api_key
from gamekeeper.stack.own_server import key_file
from gamekeeper.whole_file import write_whole

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Its id or its name")]


def list_keys(
    context: typer.Context,
    user: Annotated[str, typer.Option(help=f'Of this user alone, by its id; "{ME}" for your own')] = "",
    as_json: JsonOption = False,
) -> None:
    """List API keys, with the last use of each; the keys themselves are not kept."""
    items = context.obj.list_all("/keys", {"limit": 500, "user": user})
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["name"],
            item["role"],
            item["state"],
            minute(item["expires_at"]) or "never",
            ago(item["last_used_at"]),
            item["last_used_from"],
            item["created_by"],
        )
        for item in items
    ]
    print_table(("KEY", "NAME", "ROLE", "STATE", "EXPIRES (UTC)", "USED", "FROM", "MADE BY"), rows)


def make(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As events name it; no other good key has it")],
    expires_in: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it is good for, as 90d or 8h; default: without an end")
    ] = "",
    role: Annotated[Role, typer.Option(help="What it may do, and for a key of a user the most that it may")] = (
        Role.ADMIN
    ),
    user: Annotated[
        str, typer.Option(help=f'The user as whom it acts, by its name or its id; "{ME}" for yourself')
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Make an API key. It is shown this once."""
    obj: Context = context.obj
    user_id = user if user in ("", ME) else find_user(obj, user)["id"]
    body = {"name": name, "role": role, "expires_in": expires_in or None, "user": user_id}
    made = obj.call("POST", "/keys", json=body)
    if as_json:
        print_json(made)
        return
    say(made["key"])
    warn(f"this is key {made['id']} ({name}, {role}), {key_end(made)}; it is not shown again")


def show(context: typer.Context, key: KeyArgument, as_json: JsonOption = False) -> None:
    """Show an API key: its state, its end, its last use. Of a name that no good key has, the newest that ended."""
    found = find_key(context.obj, key, or_ended=True)
    if as_json:
        print_json(found)
        return
    print_fields(found)


def revoke(context: typer.Context, key: KeyArgument) -> None:
    """Revoke an API key. Within seconds it opens nothing more, and what goes on by it ends."""
    obj: Context = context.obj
    found = find_key(obj, key)
    own = obj.call("GET", "/whoami")["key"]
    obj.call("DELETE", f"/keys/{found['id']}")
    say(f"revoked {found['id']} ({found['name']})")
    if own and found["id"] == own["id"]:
        warn("this was the key of this command: give another one with --api-key")


def rotate(
    context: typer.Context,
    key: Annotated[
        str, typer.Argument(metavar="[KEY]", help="Its id or its name; default: the key of this command")
    ] = "",
    overlap: Annotated[
        str, typer.Option(metavar="DURATION", help="How long its earlier secrets stay good; 0s ends them at once")
    ] = "1h",
    as_json: JsonOption = False,
) -> None:
    """Give an API key a new secret. The key of this command's own file is written there, any other is shown this
    once."""
    obj: Context = context.obj
    with _one_by_one(obj):
        own = obj.call("GET", "/whoami")["key"]
        if not (key or own):
            raise InvalidError("you are signed in, and call by no key", hint="name the key")
        found = find_key(obj, key) if key else own
        made = obj.call("POST", f"/keys/{found['id']}/rotate", json={"overlap": overlap})
        is_kept = bool(own) and found["id"] == own["id"] and not obj.api_key and _keep(obj, made["key"])
    if as_json:
        print_json(made)
        return
    until = f"its earlier secrets are good until {minute(made['earlier_good_until'])} UTC"
    if is_kept:
        say(f"key {found['id']} ({found['name']}) has a new secret in {key_file(obj.state_dir)}; {until}")
        return
    say(made["key"])
    warn(f"this is the new secret of key {found['id']} ({found['name']}), not shown again; {until}")


def _all(obj: Context) -> list[dict[str, Any]]:
    """All for an admin, and for others their own."""
    return obj.list_all("/keys", {"limit": 500})


def find_key(obj: Context, key: str, *, or_ended: bool = False) -> dict[str, Any]:
    """By its id, or a good one by its name; or else the newest one of the name ``or_ended``. Raises NotFoundError, and
    InvalidError for the key itself."""
    if is_api_key(key):
        hint = f"its id is {api_key_id(key)}" if api_key_id(key) else "gamekeeper key ls shows the ids"
        raise InvalidError("this is the key itself, which is no name", hint=hint)
    items = _all(obj)
    named = [item for item in items if item["name"] == key and item["state"] == "good"]
    for item in [*(item for item in items if item["id"] == key), *named]:
        return item
    ended = [item for item in items if item["name"] == key]
    if not ended:
        raise NotFoundError(f'there is no API key "{key}"', hint="gamekeeper key ls lists them")
    if not or_ended:
        raise NotFoundError(f'there is no good API key "{key}"', hint=f"gamekeeper key show {shlex.quote(key)}")
    newest, *others = sorted(ended, key=lambda item: (item["created_at"], item["id"]), reverse=True)
    if others:
        ids = ", ".join(item["id"] for item in others)
        warn(f'{len(ended)} keys named "{printable(key)}" have ended; this is the newest, the others are {ids}')
    return newest


@contextmanager
def _one_by_one(obj: Context) -> Iterator[None]:
    """Of two rotations at once, each would end the secret that the other one writes to the file. The lock is on the
    folder: one of a command that was killed is free."""
    if obj.api_key or not obj.state_dir.is_dir():
        yield
        return
    descriptor = os.open(obj.state_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _keep(obj: Context, secret: str) -> bool:
    """Writes the secret to the file from which this command read its key. False, with a word, where it can't be
    written: then it has to be shown, or it were lost."""
    file = key_file(obj.state_dir)
    try:
        found = file.stat()
        is_root = os.geteuid() == 0  # the stack of somebody else reads it
        write_whole(file, secret + "\n", owner=(found.st_uid, found.st_gid) if is_root else None)
    except (OSError, UnavailableError) as error:
        warn(f"the new secret can't be written to {file}: {error}; write it there before the earlier ones end")
        return False
    return True


def key_end(key: dict[str, Any]) -> str:
    return f"good until {minute(key['expires_at'])} UTC" if key["expires_at"] else "good until it is revoked"
