"""The GPUs that a holder is given, and its container with them."""

from __future__ import annotations

from typing import Any

import pytest

from gamekeeper.domain.node.capacity import Capacity, capacity_of
from gamekeeper.domain.node.demand import GpuDemand, Where, demand_of_step
from gamekeeper.domain.node.gpu_choice import GivenGpus, choose_gpus, named_gpus, vendors_of, with_given_gpus
from gamekeeper.domain.node.inventory import Gpu, Inventory
from gamekeeper.domain.node.placement import Use, gpus_of
from tests.factories import make_container

KNOWN = ["GPU-aa", "GPU-bb", "GPU-cc"]
CARDS = ["/dev/dri/renderD128", "/dev/dri/renderD129"]


@pytest.mark.parametrize(
    ("asked", "count", "taken", "own", "chosen"),
    [
        ([], 2, [], [], ["GPU-aa", "GPU-bb"]),
        ([], 1, ["GPU-aa"], [], ["GPU-bb"]),
        ([], 1, [], ["GPU-cc"], ["GPU-cc"]),  # kept
        ([], 2, ["GPU-bb"], ["GPU-cc"], ["GPU-aa", "GPU-cc"]),
        ([], 3, [], [], KNOWN),
        ([], 4, [], [], []),  # the operator counts more than the machine names
        ([], 0, [], [], []),
        (["1"], 1, [], ["GPU-cc"], ["GPU-bb"]),
        (["GPU-cc"], 1, ["GPU-cc"], [], ["GPU-cc"]),
    ],
)
def test_a_choice(asked: list[str], count: int, taken: list[str], own: list[str], chosen: list[str]) -> None:
    assert choose_gpus(asked, count, KNOWN, taken, own) == chosen


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (["0", "2"], ["GPU-aa", "GPU-cc"]),
        (["gpu-b"], ["GPU-bb"]),
        (["nvidia.com/gpu=GPU-cc"], ["GPU-cc"]),
        (["GPU-"], []),  # several
        (["7"], []),
        (["0", "GPU-zz"], []),
    ],
)
def test_gpus_that_a_user_names(asked: list[str], named: list[str]) -> None:
    assert named_gpus(asked, KNOWN) == named


def test_an_inventory_names_gpus_by_what_their_engines_take() -> None:
    gpus = [
        Gpu(vendor="nvidia", uuid="GPU-aa"),
        Gpu(vendor="amd", uuid="0000:03:00.0", render_node=CARDS[0]),
        Gpu(vendor="intel", uuid="0000:00:02.0"),
    ]
    found = capacity_of({"gpus": 3}, {}, Inventory(gpus=gpus), None)
    assert found.gpu_ids == {"nvidia": ["GPU-aa"], "amd": [CARDS[0]]}
    assert vendors_of(found) == ["nvidia", "amd", "intel"]  # Docker's word for a GPU means NVIDIA's first


def test_a_gpu_of_somebody_else_is_not_given() -> None:
    capacity = Capacity(gpus={"nvidia": 3}, gpu_ids={"nvidia": KNOWN})
    given = gpus_of(GpuDemand(1), capacity, Use(gpus={"nvidia": 1}), {"GPU-aa": "instance a"})
    assert given == GivenGpus("nvidia", 1, ("GPU-bb",), tuple(KNOWN))
    named = GpuDemand(1, ids=("GPU-aa",))
    assert gpus_of(named, capacity, Use(), {"GPU-aa": "instance a"}) == "GPU GPU-aa is taken by instance a"
    assert gpus_of(GpuDemand(None), capacity, Use(), {}) == GivenGpus("nvidia", 3, tuple(KNOWN), tuple(KNOWN))


def requests(**fields: Any) -> list[dict[str, Any]]:
    container, vendor, ids, known = fields.pop("container"), fields["vendor"], fields["ids"], fields["known"]
    given = with_given_gpus(make_container(**container), vendor, ids, known)
    assert with_given_gpus(given, vendor, ids, known) == given  # as at the next revision
    assert demand_of_step(given, Where()).gpus == GpuDemand(len(ids), fields.get("told", vendor), given_ids(given))
    return [
        {"driver": each.driver, "device_ids": each.device_ids, "count": each.count} for each in given.device_requests
    ]


def given_ids(container: Any) -> tuple[str, ...]:
    return tuple(id_ for request in container.device_requests for id_ in request.device_ids)


def test_each_request_gets_its_own() -> None:
    deploy = {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": 2}]}}}
    container = {"gpus": [{"count": 1}], "deploy": deploy}
    assert requests(container=container, vendor="nvidia", ids=KNOWN, known=KNOWN, told="") == [
        {"driver": None, "device_ids": ["GPU-aa", "GPU-bb"], "count": None},
        {"driver": None, "device_ids": ["GPU-cc"], "count": None},
    ]


def test_all_are_named_too() -> None:
    (found,) = requests(container={"gpus": "all"}, vendor="nvidia", ids=KNOWN, known=KNOWN, told="")
    assert found["device_ids"] == KNOWN


def test_gpus_of_others_say_whose_they_are() -> None:
    (found,) = requests(container={"gpus": [{"count": 1}]}, vendor="amd", ids=CARDS[1:], known=CARDS)
    assert found == {"driver": "amd", "device_ids": CARDS[1:], "count": None}


@pytest.mark.parametrize(
    ("vendor", "known", "name"), [("nvidia", KNOWN, "nvidia.com/gpu=GPU-bb"), ("amd", CARDS, "amd.com/gpu=1")]
)
def test_cdi_names(vendor: str, known: list[str], name: str) -> None:
    container = make_container(gpus=[{"driver": "cdi", "count": 1}])
    (found,) = with_given_gpus(container, vendor, known[1:2], known).device_requests
    assert (found.driver, found.device_ids) == ("cdi", [name])


def test_without_ids_the_engine_picks() -> None:
    container = make_container(gpus=[{"count": 1}])
    assert with_given_gpus(container, "nvidia", [], []) is container
