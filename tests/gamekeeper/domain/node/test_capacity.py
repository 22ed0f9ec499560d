"""The capacity of a node: reported by its machine, replaced item by item by its operator."""

from __future__ import annotations

import pytest

from gamekeeper.domain.node.capacity import effective, of_facts, of_inventory
from gamekeeper.domain.node.inventory import Gpu, Inventory
from gamekeeper.domain.node.node import NodeFacts

FACTS = NodeFacts(cpu_count=8, memory_bytes=32, disk_bytes=500)


def test_facts_know_no_gpus() -> None:
    assert of_facts(FACTS) == {"cpus": 8, "memory_bytes": 32, "disk_bytes": 500}


def test_an_inventory_counts_gpus() -> None:
    assert of_inventory(Inventory(facts=FACTS, gpus=[Gpu(), Gpu()])) == of_facts(FACTS) | {"gpus": 2}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({}, {"cpus": 8, "gpus": 1}),
        ({"cpus": 4}, {"cpus": 4, "gpus": 1}),
        ({"gpus": 0}, {"cpus": 8, "gpus": 0}),  # none is an answer too
        ({"slots": 3}, {"cpus": 8, "gpus": 1, "slots": 3}),
    ],
)
def test_the_operator_has_the_last_word(override: dict[str, int], expected: dict[str, int]) -> None:
    reported = {"cpus": 8, "gpus": 1}
    assert effective(reported, override) == expected
    assert reported == {"cpus": 8, "gpus": 1}
