"""The place of a node, of which there is one, however many agents have its identity."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from agent_worker.node_link.place import Place

WELCOMED, UNANSWERED, REFUSED = Place.welcomed, Place.unanswered, Place.refused


@pytest.mark.parametrize(
    ("told", "is_ours"),
    [
        ([], False),
        ([WELCOMED], True),
        ([UNANSWERED], True),
        ([REFUSED], False),
        ([REFUSED, UNANSWERED], False),
        ([WELCOMED, UNANSWERED], True),
        ([WELCOMED, REFUSED, UNANSWERED], False),
        ([REFUSED, WELCOMED], True),
    ],
)
async def test_the_last_word_of_the_server_stands(told: Sequence[Callable[[Place], None]], is_ours: bool) -> None:
    place = Place()
    for tell in told:
        tell(place)
    ours, taken = asyncio.create_task(place.until_ours()), asyncio.create_task(place.until_taken())
    await asyncio.sleep(0)
    assert (ours.done(), taken.done()) == (is_ours, REFUSED in told and not is_ours)
    for task in (ours, taken):
        task.cancel()
    await asyncio.gather(ours, taken, return_exceptions=True)
