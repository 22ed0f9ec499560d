"""``grant``: give users and keys what they may do, on which objects; list it and take it away."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.key import find_key
from gamekeeper.cli.options import JsonOption, LabelsOption, pairs
from gamekeeper.cli.output import minute, print_fields, print_json, print_table, say
from gamekeeper.cli.user import find as find_user
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.selector import ALL
from gamekeeper.domain.access.verb import Verb
from gamekeeper.errors import InvalidError

USER = "user:"


class Kind(StrEnum):
    """The kinds of objects that grants are about."""

    ALL = ALL
    NODE = "node"
    PIPELINE = "pipeline"
    INSTANCE = "instance"
    SERVER = "server"


HolderArgument = Annotated[
    str,
    typer.Argument(metavar="HOLDER", help="Who gets it: key:KEY or user:USER, by name or id; a plain NAME is a key's"),
]
GrantArgument = Annotated[str, typer.Argument(metavar="GRANT", help="Its id")]


def make(
    context: typer.Context,
    holder: HolderArgument,
    role: Annotated[Role | None, typer.Option(help="A set of verbs; or give --verb")] = None,
    verb: Annotated[list[Verb] | None, typer.Option(help="One verb, repeatable")] = None,
    on: Annotated[Kind, typer.Option(help="Kind of object; runs and schedules are told by their pipeline")] = Kind.ALL,
    object_id: Annotated[
        list[str] | None, typer.Option("--id", help="Only this one, repeatable; eu-* is each that begins with eu-")
    ] = None,
    label: LabelsOption = None,
    own: Annotated[bool, typer.Option("--own", help="Only the instances that the holder made")] = False,
    expires_in: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it is good for, as 8h or 30d; default: without an end")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Give a user or a key a role, or verbs, on objects. With several of --id, --label and --own all have to fit."""
    obj: Context = context.obj
    body: dict[str, Any] = {
        "holder": _holder(obj, holder),
        "role": role,
        "verbs": list(verb or []),
        "on": {"kind": on, "ids": object_id or [], "labels": pairs(label, "--label"), "own": own},
        "expires_in": expires_in or None,
    }
    made = obj.call("POST", "/grants", json=body)
    if as_json:
        print_json(made)
        return
    say(f"grant {made['id']}: {holder} may {_given(made)} on {in_words(made['on'])}, {_end(made)}")


def list_grants(
    context: typer.Context,
    holder: Annotated[str, typer.Option(help="Only those of it: key:KEY or user:USER, by name or by id")] = "",
    on: Annotated[Kind | None, typer.Option(help="Only those on this kind of object")] = None,
    as_json: JsonOption = False,
) -> None:
    """List grants. What comes with a role of a key is none of them: gamekeeper key ls."""
    obj: Context = context.obj
    filters: dict[str, Any] = {"limit": 500}
    if holder:
        found = _holder(obj, holder)
        filters["holder"] = f"{found['kind']}:{found['id']}"
    if on is not None:
        filters["kind"] = on.value
    items = obj.list_all("/grants", filters)
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            f"{item['holder']['kind']}:{item['holder']['id']}",
            _given(item),
            in_words(item["on"]),
            minute(item["expires_at"]) or "never",
            item["created_by"],
        )
        for item in items
    ]
    print_table(("GRANT", "HOLDER", "GIVES", "ON", "EXPIRES (UTC)", "MADE BY"), rows)


def show(context: typer.Context, grant: GrantArgument, as_json: JsonOption = False) -> None:
    """Show one grant."""
    found = context.obj.call("GET", f"/grants/{grant}")
    if as_json:
        print_json(found)
        return
    whose = f"{found['holder']['kind']}:{found['holder']['id']}"
    print_fields(found | {"holder": whose, "verbs": ", ".join(found["verbs"]), "on": in_words(found["on"])})


def remove(context: typer.Context, grant: GrantArgument) -> None:
    """Take a grant away. Within seconds it opens nothing more, and what goes on by it ends."""
    context.obj.call("DELETE", f"/grants/{grant}")
    say(f"removed grant {grant}")


def _holder(obj: Context, text: str) -> dict[str, str]:
    """Raises NotFoundError, and InvalidError for what names nobody."""
    is_user = text.startswith(USER)
    name = text.removeprefix(USER if is_user else "key:")
    if not name:
        raise InvalidError("HOLDER names nobody", hint="gamekeeper key ls lists the keys, gamekeeper user ls the users")
    if is_user:
        return {"kind": "user", "id": find_user(obj, name)["id"]}
    return {"kind": "key", "id": find_key(obj, name)["id"]}


def _given(grant: dict[str, Any]) -> str:
    return str(grant["role"]) or ", ".join(grant["verbs"])


def in_words(on: dict[str, Any]) -> str:
    """The objects of a grant, in words."""
    parts = [*on["ids"], *(f"{key}={value}" for key, value in on["labels"].items()), *(["own"] if on["own"] else [])]
    if not parts:
        return "everything" if on["kind"] == ALL else f"every {on['kind']}"
    return f"{on['kind']} {', '.join(parts)}"


def _end(grant: dict[str, Any]) -> str:
    return f"until {minute(grant['expires_at'])} UTC" if grant["expires_at"] else "until it is removed"
