"""A row of a table of instances, alike in the list of all and on a node's page."""

from __future__ import annotations

from typing import Any

from gamekeeper.cli.output import ago

INSTANCE_COLUMNS = ("ID", "NODE", "STATE", "SINCE", "REV", "IMAGE", "PORTS")


def instance_row(item: dict[str, Any]) -> tuple[str, ...]:
    """The cells below ``INSTANCE_COLUMNS``."""
    names = (item["id"], item["node"], item["state"])
    return (*names, ago(item["since"]), _revision(item), item["image"], " ".join(item["ports"]))


def goes_on_before(item: dict[str, Any]) -> bool:
    """True where another revision than the current one runs, since that could not take over."""
    return item["state"] == "ready" and item["running_revision"] not in (0, item["revision"])


def _revision(item: dict[str, Any]) -> str:
    return f"{item['revision']} ({item['running_revision']} runs)" if goes_on_before(item) else str(item["revision"])


def without_node(row: tuple[str, ...]) -> tuple[str, ...]:
    """The columns or cells for a page that is about one node."""
    return (row[0], *row[2:])
