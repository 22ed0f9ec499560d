"""Values of metrics by name and by place; NaN is "not known"."""

from __future__ import annotations

import math

import pytest

from gamekeeper.domain.node.metric import (
    CONTAINER_METRICS,
    MAX_VALUES,
    NODE_METRICS,
    VALUE_BYTES,
    mean,
    named,
    ordered,
    pack,
    unpack,
)

NAN = math.nan


def test_values_stand_in_the_order_of_their_names() -> None:
    values = ordered(("a", "b", "c", "d"), {"d": 4, "a": 0.0, "b": None, "x": 9})
    assert repr(values) == "[0.0, nan, nan, 4.0]"
    assert named(("a", "b", "c", "d"), values) == {"a": 0.0, "d": 4.0}


@pytest.mark.parametrize(
    ("values", "found"),
    [([], {}), ([1.0], {"a": 1.0}), ([1.0, 2.0, 3.0], {"a": 1.0, "b": 2.0}), ([math.inf, NAN], {})],
)
def test_an_agent_may_send_more_or_fewer_values(values: list[float], found: dict[str, float]) -> None:
    assert named(("a", "b"), values) == found


@pytest.mark.parametrize(
    ("rows", "means"),
    [
        ([], []),
        ([[]], []),
        ([[1.0, 2.0], [3.0, 6.0]], [2.0, 4.0]),
        ([[1.0], [3.0, 6.0]], [2.0, 6.0]),
        ([[1.0, NAN], [3.0, 6.0], [5.0, math.inf]], [3.0, 6.0]),
        ([[NAN], [NAN, 1.0]], [NAN, 1.0]),
    ],
)
def test_the_mean_leaves_out_what_is_not_known(rows: list[list[float]], means: list[float]) -> None:
    assert repr(mean(rows)) == repr(means)


def test_packed_values_are_read_back() -> None:
    data = pack([1.5, -2.0, NAN])
    assert len(data) == 3 * VALUE_BYTES
    assert repr(unpack(data)) == "[1.5, -2.0, nan]"


def test_all_metrics_fit_into_one_sample() -> None:
    assert max(len(NODE_METRICS), len(CONTAINER_METRICS)) <= MAX_VALUES
