"""``joins``: the machines that brought a join key and wait for an approval."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import ago, print_json, print_table, say
from gamekeeper.errors import InvalidError

JoinArgument = Annotated[str, typer.Argument(metavar="JOIN", help="The fingerprint that the machine shows")]


def list_joins(
    context: typer.Context,
    show_all: Annotated[bool, typer.Option("--all", help="Those that joined or were refused too")] = False,
    as_json: JsonOption = False,
) -> None:
    """List machines that wait for an approval."""
    obj: Context = context.obj
    items = obj.list_all("/joins", {} if show_all else {"state": "waiting"})
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["state"],
            item["node_id"],
            item["host"],
            item["address"],
            _machine(item["facts"]),
            item["key_id"],
            ago(item["created_at"]),
            item["reason"],
        )
        for item in items
    ]
    print_table(("JOIN", "STATE", "NODE", "HOST", "ADDRESS", "MACHINE", "KEY", "CAME", "REASON"), rows)


def approve(
    context: typer.Context,
    join: JoinArgument,
    node: Annotated[str, typer.Option(help="Let it in as this node, and not as its key says")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="It is a node that exists, reinstalled: the present agent is out")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a waiting machine in. Compare the fingerprint with the one that the machine shows."""
    obj: Context = context.obj
    body: dict[str, Any] = {"replace": replace} | ({"node_id": node} if node else {})
    approved = obj.call("POST", f"/joins/{join}/approve", json=body)
    if as_json:
        print_json(approved)
    else:
        say(f"{join} is node {approved['node_id']} as soon as its agent asks again")


def refuse(
    context: typer.Context,
    join: JoinArgument,
    message: Annotated[str, typer.Option("--message", "-m", help="Told to the machine")] = "",
) -> None:
    """Refuse a waiting machine."""
    obj: Context = context.obj
    obj.call("POST", f"/joins/{join}/refuse", json={"message": message})
    say(f"refused {join}")


def remove(
    context: typer.Context,
    join: Annotated[str, typer.Argument(metavar="JOIN")] = "",
    remove_all: Annotated[bool, typer.Option("--all", help="All machines that are no nodes")] = False,
) -> None:
    """Take a machine that is no node off the list. It may ask again."""
    obj: Context = context.obj
    if bool(join) == remove_all:
        raise InvalidError("name one join, or give --all", hint="gamekeeper joins ls --all lists them")
    if remove_all:
        say(f"removed {obj.call('DELETE', '/joins')['removed']}")
    else:
        obj.call("DELETE", f"/joins/{join}")
        say(f"removed {join}")


def _machine(facts: dict[str, Any]) -> str:
    memory = f"{facts.get('memory_bytes', 0) / 2**30:.0f} GiB"
    return ", ".join(part for part in (facts.get("os", ""), f"{facts.get('cpu_count', 0)} cores", memory) if part)
