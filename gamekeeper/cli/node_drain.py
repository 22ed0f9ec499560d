"""``node cordon``, ``uncordon``, ``drain``: takes a node out of work, and back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gamekeeper.cli.context import Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import print_json, say

DeadlineOption = Annotated[str, typer.Option(help="Running steps are stopped after this time")]


def cordon(context: typer.Context, node: str, as_json: JsonOption = False) -> None:
    """Take a node out: no new steps or instances, running ones go on."""
    changed = _post(context, node, "cordon")
    _tell(changed, f"{node} is in maintenance: no new steps or instances, running ones go on", as_json)


def uncordon(context: typer.Context, node: str, as_json: JsonOption = False) -> None:
    """Take a node in again, also one that was drained."""
    changed = _post(context, node, "uncordon")
    _tell(changed, f"{node} is active: it takes steps and instances", as_json)


def drain(context: typer.Context, node: str, deadline: DeadlineOption = "10m", as_json: JsonOption = False) -> None:
    """Take a node out now, and disable it when no step runs there any more, or at the deadline. Disabled, it stops its
    instances."""
    changed = _post(context, node, "drain", {"deadline": deadline})
    if changed["drain_until"] is None:
        _tell(changed, f"{node} is disabled already", as_json)
        return
    until = changed["drain_until"][:19].replace("T", " ")
    words = f"{node} takes nothing new; it is disabled when its steps have ended, at {until} UTC at the latest"
    _tell(changed, words, as_json)


def _post(context: typer.Context, node: str, verb: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    obj: Context = context.obj
    answer: dict[str, Any] = obj.call("POST", f"/nodes/{node}/{verb}", json=body)
    return answer


def _tell(changed: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        print_json(changed)
    else:
        say(words)
