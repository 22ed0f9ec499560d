"""Limits count one node, leave the others alone, and forget a node that does nothing."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from gateway.limits import BURST_SECONDS, Limits, NodeLimits
from gateway.refusal import Reason, Refusal


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


FEW = NodeLimits(polls=2, calls=3, calls_per_second=10, bytes_per_second=1000)


def refused(limits: Limits, node_id: str = "edge-1", size: int = 1, *, is_poll: bool = False) -> Reason | None:
    try:
        with limits.opened(node_id, size, is_poll=is_poll):
            return None
    except Refusal as refusal:
        return refusal.reason


def test_open_polls_and_calls_of_one_node() -> None:
    limits = Limits(FEW, Clock())
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(limits.opened("edge-1", 1, is_poll=True))
        for _ in range(3):
            stack.enter_context(limits.opened("edge-1", 1, is_poll=False))
        assert refused(limits, is_poll=True) is Reason.POLLS
        assert refused(limits) is Reason.RATE
        assert refused(limits, "edge-2", is_poll=True) is None
        assert limits.open_polls == 2
    assert limits.open_polls == 0
    assert refused(limits, is_poll=True) is None


def test_a_call_that_fails_is_closed() -> None:
    limits = Limits(FEW, Clock())
    for _ in range(9):
        with pytest.raises(KeyError), limits.opened("edge-1", 1, is_poll=True):
            raise KeyError


def test_calls_a_second() -> None:
    clock = Clock()
    limits = Limits(FEW, clock)
    burst = [refused(limits) for _ in range(int(10 * BURST_SECONDS))]
    assert burst == [None] * len(burst)
    assert refused(limits) is Reason.RATE
    assert refused(limits, "edge-2") is None
    clock.now += 0.15
    assert [refused(limits) for _ in range(3)] == [None, None, Reason.RATE]


def test_bytes_a_second_make_later_calls_wait() -> None:
    clock = Clock()
    limits = Limits(FEW, clock)
    assert refused(limits, size=6000) is None, "a large message passes, and is paid for afterwards"
    assert refused(limits) is Reason.RATE
    clock.now += 1.1
    assert refused(limits) is None


async def test_an_idle_node_is_forgotten_and_one_with_a_poll_is_not() -> None:
    clock = Clock()
    limits = Limits(FEW, clock)
    with limits.opened("edge-1", 1, is_poll=True):
        assert refused(limits, "edge-2") is None
        await limits.forget_idle()
        assert len(limits) == 2, "what it took is not filled up yet: forgetting would give it a new burst"
        clock.now += 60
        await limits.forget_idle()
        assert len(limits) == 1
    clock.now += 60
    await limits.forget_idle()
    assert len(limits) == 0
