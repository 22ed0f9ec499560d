"""The words in which a node's room and labels are told to users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SHOWN_NODES = 10
GIB = 2**30


def cpus_short(free: float, total: float, asked: float) -> str:
    free = max(0.0, free)  # what states nothing may have taken more
    return f"{number(free)} of {number(total)} CPUs {_are(free)} free, {number(asked)} {_are(asked)} asked for"


def memory_short(free: int, total: int, asked: int) -> str:
    return f"{size(max(0, free))} of {size(total)} of memory are free, {size(asked)} are asked for"


def number_short(free: int, total: int, asked: int | None, what: str) -> str:
    if not total:
        return f"it has no {what}"
    wanted = "all are" if asked is None else f"{asked} {_are(asked)}"
    return f"{free} of {total} {what} {_are(free)} free, {wanted} asked for"


def labels_short(asked: Mapping[str, str], has: Mapping[str, str]) -> str:
    missing = [f"{key}={value}" for key, value in asked.items() if has.get(key) != value]
    return f"it has no label {', '.join(missing)}" if missing else ""


def size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if abs(count) >= GIB else f"{count / 2**20:.0f} MiB"


def told(why: Sequence[tuple[str, str]]) -> str:
    """The reasons against each node, as one sentence."""
    shown = [f"{node}: {words}" for node, words in why[:SHOWN_NODES]]
    more = len(why) - SHOWN_NODES
    return " | ".join(shown) + (f" | and {more} more nodes" if more > 0 else "")


def number(count: float) -> str:
    return f"{count:.2f}".rstrip("0").rstrip(".")


def _are(count: float) -> str:
    return "is" if count == 1 else "are"
