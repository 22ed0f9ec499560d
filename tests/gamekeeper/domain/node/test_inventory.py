"""A changed machine is told by the names of what changed."""

from __future__ import annotations

from gamekeeper.domain.node.inventory import Disk, Inventory
from gamekeeper.domain.node.node import NodeFacts

DISK = Disk(mount="/", device="sda1", filesystem="ext4", total_bytes=10)


def test_a_machine_that_stayed_the_same_has_no_changes() -> None:
    older = Inventory(facts=NodeFacts(kernel="6.1"), disks=[DISK])
    assert older.model_copy(deep=True).changed_from(older) == []


def test_changed_facts_and_parts_are_named_together() -> None:
    older = Inventory(facts=NodeFacts(kernel="6.1", cpu_count=8), disks=[DISK], swap_bytes=1)
    newer = Inventory(facts=NodeFacts(kernel="6.2", cpu_count=8), disks=[], swap_bytes=1)
    assert newer.changed_from(older) == ["disks", "kernel"]
