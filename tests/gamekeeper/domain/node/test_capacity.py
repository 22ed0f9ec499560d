"""The capacity of a node: reported by its machine, replaced item by item by its operator."""

from __future__ import annotations

import pytest

from gamekeeper.domain.node.capacity import Capacity, capacity_of, effective, of_facts, of_inventory, vendor_of
from gamekeeper.domain.node.inventory import Gpu, Inventory
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.node.port_range import PortRange

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


GPU_POLICY = NodePolicy(devices=["gpu"])
CARD, RADEON = Gpu(name="NVIDIA L4"), Gpu(name="Radeon PRO W7800")


def test_a_node_that_was_never_there_is_bounded_by_nothing() -> None:
    assert capacity_of({"cpus": 0, "memory_bytes": 0}, {}, Inventory(), None) == Capacity()


def test_the_room_of_a_node() -> None:
    found = capacity_of(
        of_facts(FACTS), {"pids": 1000, "cpus": 0, "port_first": 40_000, "port_last": 40_099}, Inventory(), None
    )
    assert found == Capacity(0.0, 32, 1000, 500, {}, PortRange(40_000, 40_099))  # 0 of an operator is no room


@pytest.mark.parametrize(
    ("gpus", "override", "policy", "expected"),
    [
        ([CARD, CARD], {}, GPU_POLICY, {"nvidia": 2}),
        ([CARD, RADEON], {}, GPU_POLICY, {"nvidia": 1, "amd": 1}),
        ([CARD, CARD], {"gpus": 1}, GPU_POLICY, {"nvidia": 1}),
        ([RADEON], {"gpus": 3}, GPU_POLICY, {"amd": 3}),
        ([], {"gpus": 2}, None, {"nvidia": 2}),
        ([CARD], {"gpus": 0}, GPU_POLICY, {}),
        ([CARD], {}, NodePolicy(), {}),  # the policy gives them to nobody
    ],
)
def test_gpus_by_vendor(
    gpus: list[Gpu], override: dict[str, int], policy: NodePolicy | None, expected: dict[str, int]
) -> None:
    inventory = Inventory(facts=FACTS, gpus=gpus)
    assert capacity_of(of_inventory(inventory), override, inventory, policy).gpus == expected


@pytest.mark.parametrize(
    ("gpu", "vendor"),
    [
        (Gpu(), "nvidia"),
        (CARD, "nvidia"),
        (RADEON, "amd"),
        (Gpu(driver="amdgpu"), "amd"),
        (Gpu(name="Intel Arc"), "intel"),
    ],
)
def test_the_vendor_of_a_gpu(gpu: Gpu, vendor: str) -> None:
    assert vendor_of(gpu) == vendor
