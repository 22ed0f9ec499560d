"""``ca``: show, rotate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import print_json, print_table, say

OVERLAP_DAYS = 30
SHOWN_NODES = 10


def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the roots that nodes and commands trust, their pins, and the nodes that don't know the newest one."""
    obj: Context = context.obj
    found = obj.call("GET", "/ca")
    if as_json:
        print_json(found)
    else:
        _print(found)


def rotate(
    context: typer.Context,
    overlap: Annotated[
        int, typer.Option(min=1, max=365, metavar="DAYS", help="Days that the root of now stays trusted")
    ] = OVERLAP_DAYS,
    again: Annotated[bool, typer.Option("--again", help="Although an older root is still trusted")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a new root. Nothing that runs is dropped; nodes learn it by themselves within the overlap."""
    obj: Context = context.obj
    found = obj.call("POST", "/ca/rotate", json={"overlap_days": overlap, "again": again})
    if as_json:
        print_json(found)
        return
    _print(found)
    until = _day(next(root["trusted_until"] for root in found["roots"] if not root["signs"]))
    say(f"tokens, join keys, pins and roots.pem files that you gave out go on working until {until}, when")
    say("the old root is out; steps that were scheduled before now and are not started by then are refused by")
    say("their nodes")


def _print(found: dict[str, Any]) -> None:
    rows = [
        (
            root["pin"],
            "signs" if root["signs"] else f"trusted until {_day(root['trusted_until'])}",
            _day(root["made_at"]),
            _day(root["not_after"]),
            root["name"],
        )
        for root in found["roots"]
    ]
    print_table(("PIN", "STATE", "MADE", "ENDS", "NAME"), rows)
    for root in found["roots"]:
        say(f"SHA-256 {root['fingerprint']}")
    signing = next(root["pin"] for root in found["roots"] if root["signs"])
    say(f"commands on other machines trust this control plane by: --pin {signing}")
    if found["outside"]:
        say("this CA was signed by another one: see docs/certificates.md for its renewal")
    behind = found["nodes_behind"]
    if behind:
        more = f" and {len(behind) - SHOWN_NODES} more" if len(behind) > SHOWN_NODES else ""
        say(f"not seen with a certificate of the newest root yet: {', '.join(behind[:SHOWN_NODES])}{more}")
        say("connected ones renew within a minute; one that stays away needs: gamekeeper node enrol NODE")


def _day(moment: str) -> str:
    return moment[:10]
