"""The words in which quotas are shown."""

from __future__ import annotations

from typing import Any

from gamekeeper.domain.node.placement_words import size

ITEMS = (("instances", "instances"), ("cpus", "CPUs"), ("memory_bytes", "memory"), ("ports", "ports"))


def shown(name: str, amount: float | None) -> str:
    if amount is None:
        return "no limit"
    return size(int(amount)) if name == "memory_bytes" else f"{amount:g}"


def limits_of(quota: dict[str, Any]) -> str:
    """The limits that there are, each with what is used of it: ``1 of 3 instances``; empty where there is none."""
    return ", ".join(
        f"{shown(name, quota[name]['used'])} of {shown(name, quota[name]['limit'])} {word}"
        for name, word in ITEMS
        if quota[name]["limit"] is not None
    )
