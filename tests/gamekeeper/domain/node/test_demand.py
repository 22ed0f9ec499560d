"""The demand of a container, and the words in which users name a node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gamekeeper.domain.language.given_port import PortWish
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.node.ability import Ability
from gamekeeper.domain.node.demand import (
    DEFAULT_CPUS,
    DEFAULT_MEMORY_BYTES,
    Demand,
    GpuDemand,
    Where,
    demand_of,
    demand_of_step,
    where_of,
)
from tests.factories import make_container

HERE = Where(node="node-1")


def resources(**words: Any) -> dict[str, Any]:
    return {"deploy": {"resources": words}}


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, Demand(DEFAULT_CPUS, DEFAULT_MEMORY_BYTES)),
        (resources(limits={"cpus": "1.5", "memory": "1g", "pids": 64}), Demand(1.5, 2**30, 64)),
        (resources(reservations={"memory": "2m"}), Demand(memory_bytes=2 * 2**20)),
        (resources(limits={"memory": "3m"}, reservations={"memory": "2m"}), Demand(memory_bytes=3 * 2**20)),
        ({"gpus": "all"}, Demand(gpus=GpuDemand(None))),
        ({"gpus": [{"count": 2, "driver": "nvidia"}]}, Demand(gpus=GpuDemand(2, "nvidia"))),
        ({"gpus": [{"device_ids": ["0", "3"]}]}, Demand(gpus=GpuDemand(2, ids=("0", "3")))),
        (
            {"gpus": [{"driver": "cdi", "device_ids": ["amd.com/gpu=0"]}]},
            Demand(gpus=GpuDemand(1, "amd", ("amd.com/gpu=0",))),
        ),
        ({"gpus": [{"count": 1}, {"count": 2}]}, Demand(gpus=GpuDemand(3))),
        ({"ports": ["0:80"]}, Demand(ports=(PortWish("80"),))),
    ],
)
def test_a_container_asks_for(container: dict[str, Any], expected: Demand) -> None:
    found = demand_of(make_container(**container), HERE)
    assert found == replace(expected, where=HERE, abilities=frozenset({Ability.INSTANCES}))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("node-7", Where(node="node-7")),
        (NodeSelector(labels={"pool": "a"}), Where(labels={"pool": "a"})),
        (NodeSelector(spread="rack"), Where(across="rack")),
        (NodeSelector(spread="true"), Where()),
        (NodeSelector(pack="node"), Where(strategy="pack")),
        (NodeSelector(pack="rack"), Where(strategy="pack", across="rack")),
        (NodeSelector(anti_affinity={"game": "arena"}), Where(anti_affinity={"game": "arena"})),
    ],
)
def test_a_node_as_users_name_it(choice: str | NodeSelector, expected: Where) -> None:
    assert where_of(choice) == expected


@pytest.mark.parametrize(
    ("choice", "strategy"),
    [(NodeSelector(), "together"), (NodeSelector(spread="node"), "spread"), (NodeSelector(pack="node"), "pack")],
)
def test_a_group_is_kept_together_unless_it_is_to_be_spread(choice: NodeSelector, strategy: str) -> None:
    assert where_of(choice, "arena").strategy == strategy


def test_a_limit_that_is_not_known_yet_counts_as_none() -> None:
    container = make_container(
        **resources(limits={"cpus": "${{ steps.a.outputs.n }}"}), ports=["${{ steps.a.outputs.p }}:1"]
    )
    assert demand_of_step(container, HERE).cpus == DEFAULT_CPUS


def test_spread_and_pack_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="use either spread or pack"):
        NodeSelector(spread="rack", pack="rack")


def test_the_room_of_two_revisions_is_the_larger() -> None:
    both = Demand(cpus=1, memory_bytes=10, pids=5).at_least(2, 5, 5)
    assert (both.cpus, both.memory_bytes, both.pids) == (2, 10, 5)
