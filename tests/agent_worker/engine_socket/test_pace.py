"""The pace of a socket: a burst at once, and then so many steps of a second."""

from __future__ import annotations

import asyncio

from agent_worker.engine_socket.pace import Pace

RATE, BURST, STEPS = 100.0, 10, 30


async def test_after_a_burst_all_wait_in_turn() -> None:
    pace, clock = Pace(RATE, BURST), asyncio.get_running_loop().time
    for _ in range(2):
        begun = clock()
        done: list[int] = []

        async def step(number: int, done: list[int]) -> None:
            await pace.step()
            done.append(number)

        await asyncio.gather(*[step(number, done) for number in range(STEPS)])
        assert done == list(range(STEPS))
        assert clock() - begun >= (STEPS - BURST - 1) / RATE


async def test_a_large_step_counts_as_many() -> None:
    pace, clock = Pace(RATE, BURST), asyncio.get_running_loop().time
    begun = clock()
    await pace.step(STEPS)
    await pace.step(0)
    assert clock() - begun >= (STEPS - BURST - 1) / RATE
