"""The capacity of a node: the machine's offer to containers, and the operator's numbers in its place.

An inventory tells more than the facts of a hello, so it stands where there is one. Whoever places work, and whoever
shows a node, takes the effective capacity.
"""

from __future__ import annotations

from collections.abc import Mapping

from gamekeeper.domain.node.inventory import Inventory
from gamekeeper.domain.node.node import NodeFacts


def of_facts(facts: NodeFacts) -> dict[str, int]:
    """The capacity as an agent tells it with its hello, before its first inventory."""
    return {"cpus": facts.cpu_count, "memory_bytes": facts.memory_bytes, "disk_bytes": facts.disk_bytes}


def of_inventory(inventory: Inventory) -> dict[str, int]:
    return of_facts(inventory.facts) | {"gpus": len(inventory.gpus)}


def effective(reported: Mapping[str, int], override: Mapping[str, int]) -> dict[str, int]:
    """The operator's word replaces the machine's, item by item; an item that the machine never told is added."""
    return {**reported, **override}
