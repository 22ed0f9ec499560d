"""``user quota`` and ``key quota``: what somebody's instances may be and hold together, and what they do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.key import KeyArgument, find_key
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import print_json, print_table
from gamekeeper.cli.quota_words import ITEMS, shown
from gamekeeper.cli.user import UserArgument, find
from gamekeeper.domain.language.units import parse_bytes
from gamekeeper.errors import InvalidError

NONE = "none"  # takes a limit away

InstancesOption = Annotated[str, typer.Option("--instances", metavar="NUMBER", help='Or "none" for no limit')]
CpusOption = Annotated[str, typer.Option("--cpus", metavar="NUMBER", help='As 4 or 1.5, or "none"')]
MemoryOption = Annotated[str, typer.Option("--memory", metavar="SIZE", help='As 8g or 512m, or "none"')]
PortsOption = Annotated[str, typer.Option("--ports", metavar="NUMBER", help='Ports of nodes, or "none"')]


def of_user(
    context: typer.Context,
    user: UserArgument,
    instances: InstancesOption = "",
    cpus: CpusOption = "",
    memory: MemoryOption = "",
    ports: PortsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show the quota of a user and what its instances hold of it, or set limits. Nothing is stopped by one."""
    obj: Context = context.obj
    changes = _changes(instances, cpus, memory, ports)
    _call(obj, f"/users/{find(obj, user)['id']}/quota", changes, as_json=as_json)


def of_key(
    context: typer.Context,
    key: KeyArgument,
    instances: InstancesOption = "",
    cpus: CpusOption = "",
    memory: MemoryOption = "",
    ports: PortsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show the quota of a key that is nobody's and what its instances hold of it, or set limits."""
    obj: Context = context.obj
    changes = _changes(instances, cpus, memory, ports)
    _call(obj, f"/keys/{find_key(obj, key)['id']}/quota", changes, as_json=as_json)


def _call(obj: Context, path: str, changes: dict[str, Any], *, as_json: bool) -> None:
    found = obj.call("PATCH", path, json=changes) if changes else obj.call("GET", path)
    if as_json:
        print_json(found)
        return
    rows = [(word, shown(name, found[name]["used"]), shown(name, found[name]["limit"])) for name, word in ITEMS]
    print_table(("OF", "USED", "LIMIT"), rows)


def _changes(instances: str, cpus: str, memory: str, ports: str) -> dict[str, Any]:
    """The limits that were given; None for those that are taken away. Raises InvalidError."""
    given = {"instances": instances, "cpus": cpus, "memory_bytes": memory, "ports": ports}
    return {name: None if text == NONE else _limit(name, text) for name, text in given.items() if text}


def _limit(name: str, text: str) -> int | float:
    try:
        if name == "memory_bytes":
            return parse_bytes(text)
        return float(text) if name == "cpus" else int(text)
    except ValueError as error:
        option = name.removesuffix("_bytes")
        example = {"cpus": "1.5", "memory_bytes": "8g"}.get(name, "3")
        raise InvalidError(f'--{option} {text}: write it as {example}, or "{NONE}" for no limit') from error
