"""The capacity of a node: the machine's offer to containers, and the operator's numbers in its place.

An inventory tells more than the facts of a hello, so it stands where there is one. Whoever places work, and whoever
shows a node, takes the effective capacity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gamekeeper.domain.node.inventory import Gpu, Inventory
from gamekeeper.domain.node.judgement import GPU
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.node.port_range import HIGHEST, NODE_RANGE, PortRange

NVIDIA = "nvidia"
BOUNDS = frozenset({"cpus", "memory_bytes", "pids"})  # an operator's numbers by which a node is full
_VENDORS = {"amd": ("amd", "radeon"), "intel": ("intel",)}  # in a GPU's name or driver


@dataclass(frozen=True)
class Capacity:
    """None is "not known", as of a node that was never there or of what no machine tells: it bounds nothing.
    ``gpu_ids`` has the GPUs of a vendor where each is known by its id."""

    cpus: float | None = None
    memory_bytes: int | None = None
    pids: int | None = None
    disk_bytes: int | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)
    ports: PortRange = NODE_RANGE
    gpu_ids: Mapping[str, Sequence[str]] = field(default_factory=dict)


def of_facts(facts: NodeFacts) -> dict[str, int]:
    """The capacity as an agent tells it with its hello, before its first inventory."""
    return {"cpus": facts.cpu_count, "memory_bytes": facts.memory_bytes, "disk_bytes": facts.disk_bytes}


def of_inventory(inventory: Inventory) -> dict[str, int]:
    return of_facts(inventory.facts) | {"gpus": len(inventory.gpus)}


def effective(reported: Mapping[str, int], override: Mapping[str, int]) -> dict[str, int]:
    """The operator's word replaces the machine's, item by item; an item that the machine never told is added."""
    return {**reported, **override}


def capacity_of(
    reported: Mapping[str, int], override: Mapping[str, int], inventory: Inventory, policy: NodePolicy | None
) -> Capacity:
    """The room for containers. GPUs that the node's policy allows to nobody are none; 0 CPUs are a machine that has not
    told yet, unless its operator says so."""
    found = effective({name: value for name, value in reported.items() if value}, override)
    cpus = found.get("cpus")
    return Capacity(
        cpus=None if cpus is None else float(cpus),
        memory_bytes=found.get("memory_bytes"),
        pids=found.get("pids"),
        disk_bytes=found.get("disk_bytes"),
        gpus=_gpus(inventory.gpus, found.get("gpus"), policy),
        gpu_ids=_gpu_ids(inventory.gpus),
        ports=PortRange(
            max(1, found.get("port_first", NODE_RANGE.first)), min(HIGHEST, found.get("port_last", NODE_RANGE.last))
        ),
    )


def vendor_of(gpu: Gpu) -> str:
    """A GPU that says nothing else was found by NVIDIA's library."""
    if gpu.vendor:
        return gpu.vendor
    words = f"{gpu.name} {gpu.driver}".lower()
    return next((vendor for vendor, marks in _VENDORS.items() if any(mark in words for mark in marks)), NVIDIA)


def _gpu_ids(gpus: list[Gpu]) -> dict[str, list[str]]:
    """In the order in which the drivers number them. Of a vendor with a GPU that has no id none is told."""
    found: dict[str, list[str]] = {}
    for gpu in gpus:
        vendor = vendor_of(gpu)
        found.setdefault(vendor, []).append(gpu.uuid if vendor == NVIDIA else gpu.render_node)
    return {vendor: ids for vendor, ids in found.items() if all(ids)}


def _gpus(gpus: list[Gpu], told: int | None, policy: NodePolicy | None) -> dict[str, int]:
    """``told`` is the effective number of all; where it differs from the inventory, its first vendor makes it up."""
    if policy is not None and GPU not in policy.devices:
        return {}
    found = Counter(vendor_of(gpu) for gpu in gpus)
    first = next(iter(found), NVIDIA)
    if told is not None:
        found[first] += told - found.total()
    return {vendor: count for vendor, count in found.items() if count > 0}
