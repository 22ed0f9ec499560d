"""``instance top``: what instances use, now and again."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from gamekeeper.cli.context import ApiError, Context
from gamekeeper.cli.options import JsonOption
from gamekeeper.cli.output import print_json, print_table

SECONDS = 2.0
RECENT = 60.0  # what was measured longer ago is not now
_HOME = "\x1b[H\x1b[2J"


def top(
    context: typer.Context,
    instance: Annotated[str, typer.Argument(metavar="[INSTANCE]", help="Default: all that run")] = "",
    node: str = "",
    once: Annotated[bool, typer.Option("--once", help="Print it once; so does a pipe")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show CPU, memory and network of instances, again every two seconds until q or Ctrl-C."""
    obj: Context = context.obj
    again = not once and not as_json and sys.stdout.isatty()
    try:
        with _keys_at_once(again):
            while True:
                rows = [_usage(obj, item) for item in _shown(obj, instance, node)]
                _print(rows, as_json, clear=again)
                if not again or _is_over():
                    return
    except KeyboardInterrupt:
        return


@contextmanager
def _keys_at_once(again: bool) -> Iterator[None]:
    """A key is read without Enter, and does not stand in the table."""
    if not again or not sys.stdin.isatty():
        yield
        return
    import termios
    import tty as terminal

    before = termios.tcgetattr(sys.stdin)
    terminal.setcbreak(sys.stdin, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _is_over() -> bool:
    """Waits for the next round; True when q is typed meanwhile."""
    until = time.monotonic() + SECONDS
    while (left := until - time.monotonic()) > 0:
        if not sys.stdin.isatty():
            time.sleep(left)
        elif select.select([sys.stdin], [], [], left)[0] and os.read(sys.stdin.fileno(), 1) in (b"q", b"Q", b""):
            return True
    return False


def _shown(obj: Context, instance: str, node: str) -> list[dict[str, Any]]:
    if instance:
        from gamekeeper.cli.instance_wait import find_instance

        return [find_instance(obj, instance)]
    items = obj.list_all("/instances", {"limit": 500} | ({"node": node} if node else {}))
    return [item for item in items if item["container_id"] and item["state"] not in ("stopped", "failed")]


def _usage(obj: Context, item: dict[str, Any]) -> dict[str, Any]:
    """The newest sample of an instance beside what it is."""
    try:
        query = {"from": time.time() - RECENT, "step": 1}
        points = obj.call("GET", f"/instances/{item['id']}/metrics", params=query)["points"]
    except ApiError:
        points = []
    values = points[-1]["values"] if points else {}
    return {name: item[name] for name in ("id", "node", "state")} | {"values": values}


def _print(rows: list[dict[str, Any]], as_json: bool, *, clear: bool) -> None:
    if as_json:
        print_json(rows)
        return
    if clear:
        sys.stdout.write(_HOME)
    table = [
        (
            *(row[name] for name in ("id", "node", "state")),
            _percent(row["values"].get("cpu_percent")),
            _bytes(row["values"].get("memory_working_set_bytes")),
            _rate(row["values"].get("network_receive_bytes_per_second")),
            _rate(row["values"].get("network_send_bytes_per_second")),
        )
        for row in sorted(rows, key=lambda row: -row["values"].get("cpu_percent", -1.0))
    ]
    print_table(("ID", "NODE", "STATE", "CPU", "MEMORY", "IN", "OUT"), table)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"


def _bytes(value: float | None) -> str:
    if value is None:
        return ""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def _rate(value: float | None) -> str:
    return "" if value is None else f"{_bytes(value)}/s"
