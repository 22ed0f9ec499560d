"""Hashing beside the event loop: few at once, and places for those who are known."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher

from api.services.access.password_hashing import PLACES, PLACES_OF_KNOWN, PLACES_OF_ONE, PasswordHashing
from gamekeeper.errors import TooOftenError

PASSWORD = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)


async def test_a_flood_of_strangers_leaves_room_for_who_is_known() -> None:
    hashing = PasswordHashing()
    flood = [asyncio.ensure_future(hashing.is_right("wrong", CHEAP, f"203.0.113.{n}")) for n in range(PLACES + 100)]
    await asyncio.sleep(0)
    known = asyncio.ensure_future(hashing.is_right(PASSWORD, CHEAP, "192.0.2.1", is_known=True))
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert await known
    assert answers[:PLACES] == [False] * PLACES
    assert all(isinstance(answer, TooOftenError) for answer in answers[PLACES:])


async def test_one_address_has_a_few_places() -> None:
    hashing = PasswordHashing()
    flood = [asyncio.ensure_future(hashing.is_right("wrong", CHEAP, "192.0.2.1")) for _ in range(50)]
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(answer is False for answer in answers) == PLACES_OF_ONE


async def test_places_are_free_again_and_bounded_for_all() -> None:
    hashing = PasswordHashing()
    tasks = [
        asyncio.ensure_future(hashing.is_right("wrong", CHEAP, f"a{n}", is_known=True))
        for n in range(PLACES + PLACES_OF_KNOWN + 1)
    ]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(answer, TooOftenError) for answer in answers) == 1
    assert not await hashing.is_right("wrong", CHEAP, "a0")


async def test_who_goes_away_holds_its_place_until_the_hash_is_done() -> None:
    hashing = PasswordHashing()
    gone = [asyncio.ensure_future(hashing.is_right("wrong", CHEAP, "192.0.2.1")) for _ in range(PLACES_OF_ONE)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    with pytest.raises(TooOftenError):
        await hashing.is_right("wrong", CHEAP, "192.0.2.1")
    await asyncio.gather(*gone, return_exceptions=True)


async def test_the_loop_goes_on_meanwhile() -> None:
    hashing = PasswordHashing()
    working, turns = asyncio.ensure_future(hashing.hash(PASSWORD)), 0
    while not working.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert turns > 5
