"""Nodes that want a session stand in line: so many at once, nobody while the api is late, first come, first served."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from api.services.node import admission as module
from api.services.node.admission import AT_ONCE, Admission
from api.services.node.agent_session import AgentSession
from api.services.node.lateness import LATE_SECONDS, MAX_STRETCH, Lateness
from gamekeeper.errors import LaterError
from tests.hang import HANG_SECONDS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Line:
    """Nodes that want sessions. Each is in its opening until it is told to be ready."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lateness = Lateness(self.clock)
        self.admission = Admission(self.lateness, self.clock)
        self.opening: list[str] = []
        self._ready: dict[str, asyncio.Event] = {}

    async def ask(self, node: str) -> None:
        async with self.admission.opening(node):
            self.opening.append(node)
            await self._ready.setdefault(node, asyncio.Event()).wait()

    async def come(self, *nodes: str) -> list[asyncio.Task[None]]:
        asked = [asyncio.create_task(self.ask(node)) for node in nodes]
        await self.settle()
        return asked

    async def ready(self, *nodes: str) -> None:
        for node in nodes:
            self._ready[node].set()
        await self.settle()

    def late(self, seconds: float = 2 * LATE_SECONDS) -> None:
        self.clock.now += 0.3
        self.lateness.note(seconds)

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def names(first: int, last: int) -> list[str]:
    return [f"n{number}" for number in range(first, last)]


async def test_so_many_are_opened_at_once_and_the_others_in_their_order() -> None:
    line = Line()
    tasks = await line.come(*names(0, AT_ONCE + 3))
    assert line.opening == names(0, AT_ONCE)
    assert line.admission.waiting == 3
    await line.ready("n5")
    assert line.opening == names(0, AT_ONCE + 1)
    await line.ready("n6", "n7")
    assert line.opening == names(0, AT_ONCE + 3)
    assert line.admission.waiting == 0
    for task in tasks:
        task.cancel()


async def test_nobody_is_let_in_while_the_api_is_late() -> None:
    line = Line()
    line.late()
    tasks = await line.come("a", "b")
    line.admission.look()
    await line.settle()
    assert line.opening == []
    line.late(0)
    line.admission.look()
    await line.settle()
    assert line.opening == ["a", "b"]
    for task in tasks:
        task.cancel()


async def test_who_is_told_to_come_later_waits_the_longer_the_more_are_before_it_and_keeps_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "IN_LINE_SECONDS", 0.01)
    line = Line()
    line.late()
    waits: list[float] = []
    for node in names(0, 300):
        line.clock.now += 0.001
        with pytest.raises(LaterError) as caught:
            await asyncio.wait_for(line.ask(node), HANG_SECONDS)
        waits.append(caught.value.after_seconds)
    assert max(waits[:20]) < min(waits[-20:])
    assert max(waits) <= module.LONGEST_WAIT_SECONDS
    assert len(set(waits)) == len(waits), "not two of them come back in one instant"
    monkeypatch.setattr(module, "IN_LINE_SECONDS", HANG_SECONDS)
    tasks = await line.come("new", "n200", "n1")
    line.late(0)
    line.admission.look()
    await line.settle()
    assert line.opening == ["n1", "n200", "new"]
    for task in tasks:
        task.cancel()


async def test_who_goes_from_the_line_takes_no_room_with_it() -> None:
    line = Line()
    tasks = await line.come(*names(0, AT_ONCE + 1))
    tasks[-1].cancel()
    await line.ready("n0")
    (more,) = await line.come("more")
    assert line.opening[-1] == "more"
    tasks[1].cancel()
    with suppress(asyncio.CancelledError):
        await tasks[1]
    (last,) = await line.come("last")
    assert line.opening[-1] == "last"
    assert line.admission._opening == AT_ONCE
    for task in (*tasks, more, last):
        task.cancel()
    await asyncio.gather(*tasks, more, last, return_exceptions=True)
    assert line.admission._opening == 0


async def test_a_turn_that_comes_with_a_cancel_goes_to_the_next() -> None:
    line = Line()
    line.late()
    tasks = await line.come("a", "b")
    line.late(0)
    line.admission.look()
    tasks[0].cancel()
    await line.settle()
    assert line.opening == ["b"]
    assert line.admission._opening == 1
    tasks[1].cancel()


async def test_one_is_let_in_now_and_then_whatever_is_measured() -> None:
    line = Line()
    line.late()
    tasks = await line.come("a", "b")
    for _ in range(2):
        line.clock.now += module.RARELY_SECONDS + 0.1
        line.admission.look()
        await line.settle()
    assert line.opening == ["a"], "not while another one is being opened"
    await line.ready("a")
    line.clock.now += module.RARELY_SECONDS + 0.1
    line.admission.look()
    await line.settle()
    assert line.opening == ["a", "b"]
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize(
    ("delays", "is_late"),
    [([9.0] * 2, False), ([9.0] * 3, True), ([9.0, 9.0, 0.0, 0.0], False), ([9.0, 9.0, 9.0, 0.0], True)],
)
async def test_heartbeats_that_come_late_from_most_nodes_are_our_own_lateness(
    delays: list[float], is_late: bool
) -> None:
    lateness = Lateness()
    for number, delay in enumerate(delays):
        lateness.heard(f"n{number}", delay)
    await lateness.observe()
    assert (lateness.stretch > 5) is is_late


def test_a_heartbeat_is_measured_against_the_quickest_of_its_session() -> None:
    session = AgentSession("n", 1)
    session.clock_offset_ns = 5 * 10**9  # its clock is ahead
    assert session.delay_of(sent_ns=5 * 10**9, received_ns=2 * 10**9) == 0.0, "a slow line is no delay of ours"
    assert session.delay_of(sent_ns=6 * 10**9, received_ns=4 * 10**9) == 1.0


def test_times_are_stretched_at_once_and_come_back_slowly() -> None:
    clock = Clock()
    lateness = Lateness(clock)
    lateness.note(LATE_SECONDS)
    assert (lateness.is_late, lateness.stretch) == (False, 1.0)
    lateness.note(LATE_SECONDS * 1.5)
    assert lateness.is_late
    assert 1 < lateness.stretch < MAX_STRETCH
    lateness.note(60)
    assert lateness.stretch == MAX_STRETCH
    lateness.note(0.0)
    assert not lateness.is_late
    assert lateness.stretch == MAX_STRETCH
    clock.now += 60
    lateness.note(0.0)
    assert lateness.stretch == 1.0
    assert lateness.was_within(61)
    assert not lateness.was_within(60)


async def test_what_can_wait_is_left_until_the_api_is_in_time() -> None:
    clock = Clock()
    lateness = Lateness(clock)
    await asyncio.wait_for(lateness.until_in_time(), HANG_SECONDS)
    lateness.note(1.0)
    waiting = asyncio.create_task(lateness.until_in_time())
    await asyncio.sleep(0)
    assert not waiting.done()
    lateness.note(0.0)
    await asyncio.wait_for(waiting, HANG_SECONDS)


async def test_a_busy_loop_is_measured() -> None:
    lateness = Lateness()
    looking = asyncio.create_task(lateness.observe())
    await asyncio.sleep(0)
    end = asyncio.get_running_loop().time() + 2 * LATE_SECONDS
    while asyncio.get_running_loop().time() < end:
        pass
    await looking
    assert lateness.is_late


def test_a_late_api_gives_no_certificates_to_newcomers() -> None:
    line = Line()
    line.admission.check_in_time()
    line.late()
    with pytest.raises(LaterError):
        line.admission.check_in_time()
    line.late(0.0)
    line.admission.check_in_time()
