"""``join-key``: make, list and revoke the keys by which machines become nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.join_line import print_join_line
from gamekeeper.cli.options import CapacityOption, JsonOption, LabelsOption, numbers, pairs, read_file
from gamekeeper.cli.output import ago, print_json, print_table, say
from gamekeeper.domain.node.policy_text import policy_document
from gamekeeper.errors import InvalidError
from gamekeeper.keys import is_join_key


def make(
    context: typer.Context,
    uses: Annotated[int, typer.Option(min=1, max=10_000, help="How many machines may join by it")] = 1,
    hours: Annotated[int, typer.Option(min=1, max=2160, help="How long it is good for")] = 24,
    name: Annotated[
        str, typer.Option(help="Ids of the nodes: {host} is the machine's host name, {n} the next number")
    ] = "{host}",
    label: LabelsOption = None,
    capacity: CapacityOption = None,
    policy: Annotated[
        Path | None, typer.Option(help="File with a policy, for machines that have none of their own", exists=True)
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Each machine waits until it is approved")] = False,
    description: str = "",
    as_json: JsonOption = False,
) -> None:
    """Make a join key. It is shown this once, with the line for the other machine."""
    obj: Context = context.obj
    body: dict[str, Any] = {
        "uses": uses,
        "hours": hours,
        "name_pattern": name,
        "labels": pairs(label, "--label"),
        "capacity_override": numbers(capacity),
        "approve": approve,
        "description": description,
        "policy": _policy(policy),
    }
    made = obj.call("POST", "/join-keys", json=body)
    if as_json:
        print_json(made)
        return
    machines = "1 machine" if uses == 1 else f"{uses} machines"
    until = made["expires_at"][:16].replace("T", " ")
    say(f"join key {made['id']}, for {machines}, until {until} UTC")
    print_join_line(obj, made["key"])
    if approve:
        say("then, here: gamekeeper joins ls")


def list_keys(context: typer.Context, as_json: JsonOption = False) -> None:
    """List join keys; the keys themselves are not kept."""
    obj: Context = context.obj
    items = obj.list_all("/join-keys", {})
    if as_json:
        print_json(items)
        return
    rows = [
        (
            item["id"],
            item["state"],
            f"{item['uses']}/{item['max_uses']}",
            item["expires_at"][:16].replace("T", " "),
            item["name_pattern"],
            "yes" if item["approve"] else "",
            " ".join(f"{key}={value}" for key, value in item["labels"].items()),
            ago(item["last_used_at"]),
            item["description"],
        )
        for item in items
    ]
    print_table(("KEY", "STATE", "USES", "EXPIRES (UTC)", "NAME", "APPROVE", "LABELS", "USED", "DESCRIPTION"), rows)


def revoke(context: typer.Context, key: Annotated[str, typer.Argument(metavar="KEY", help="Its id")]) -> None:
    """Revoke a join key by its id. Nodes that joined by it stay."""
    if is_join_key(key):
        raise InvalidError("this is the key itself, which is no name", hint="gamekeeper join-key ls shows the ids")
    obj: Context = context.obj
    obj.call("DELETE", f"/join-keys/{key}")
    say(f"revoked {key}")


def _policy(file: Path | None) -> Any:
    return None if file is None else policy_document(read_file(file).encode(), file)
