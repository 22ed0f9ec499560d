"""The values of containers: known, not known yet, or never to be known."""

from __future__ import annotations

import asyncio

from agent_worker.masking.masker import WITHHELD, mask
from agent_worker.secrets.held import SecretsOfContainers
from tests.hang import HANG_SECONDS

VALUE = b"hunter2-hunter3"


async def test_a_container_without_values_has_no_masker() -> None:
    secrets = SecretsOfContainers()
    assert secrets.masker("gk-a") is None
    assert secrets.masker_now("gk-a", 0) is None
    assert await secrets.known("gk-a", 0) is None


async def test_values_are_those_of_their_container_until_it_is_gone() -> None:
    secrets = SecretsOfContainers()
    masker = secrets.hold("gk-a", [VALUE, b"abc"])
    assert masker.too_short == 1
    assert await secrets.known("gk-a", 1) is secrets.masker("gk-a") is secrets.masker_now("gk-a", 1) is masker
    assert secrets.masker("gk-b") is None
    secrets.release("gk-a")
    secrets.release("gk-a")
    assert secrets.masker("gk-a") is None


async def test_values_of_before_are_masked_too() -> None:
    secrets = SecretsOfContainers()
    secrets.hold("gk-a", [VALUE])
    secrets.hold("gk-a", [b"rotated-value"])
    assert mask(secrets.masker("gk-a"), VALUE + b" rotated-value") == b"*** ***"


async def test_who_needs_values_that_are_not_known_waits_and_somebody_is_asked() -> None:
    secrets, asked = SecretsOfContainers(), list[str]()
    secrets.asked = asked.append
    assert secrets.masker_now("gk-a", 1) is WITHHELD
    waiting = [asyncio.create_task(secrets.known("gk-a", 1)) for _ in range(2)]
    await asyncio.sleep(0)
    assert asked == ["gk-a", "gk-a"]
    masker = secrets.hold("gk-a", [VALUE])
    async with asyncio.timeout(HANG_SECONDS):
        assert await asyncio.gather(*waiting) == [masker, masker]


async def test_values_that_never_come_are_replaced_by_nothing_at_all() -> None:
    secrets = SecretsOfContainers()
    waiting = asyncio.create_task(secrets.known("gk-a", 1))
    await asyncio.sleep(0)
    secrets.withhold("gk-a")
    async with asyncio.timeout(HANG_SECONDS):
        assert mask(await waiting, b"a line\nand another\n") == b"***\n***\n"
    assert mask(secrets.hold("gk-a", [VALUE]), b"a line " + VALUE) == b"a line ***"
