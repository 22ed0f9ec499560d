"""The status of a node by its heartbeats: when it is suspected, lost, and believed again. No clock runs in it."""

from __future__ import annotations

import pytest

from gamekeeper.db.engine import Database
from tests.api.services.node.test_stall import LEASE, Watched

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def watched(database: Database) -> Watched:
    made = Watched(database)
    await made.begin()
    return made


async def test_a_silent_node_is_suspected_and_then_lost_with_its_lease(database: Database) -> None:
    node = await watched(database)
    await node.go(LEASE / 2 - 1)
    assert await node.status() == "online"
    await node.go(2)
    assert await node.status() == "suspect"
    await node.go(LEASE / 2 - 2)
    assert await node.status() == "suspect"
    await node.go(2)
    assert await node.status() == "offline"


@pytest.mark.parametrize("silence", [LEASE - 1, LEASE + 1])
async def test_one_beat_does_not_make_a_silent_node_believed_again_and_two_do(
    database: Database, silence: float
) -> None:
    node = await watched(database)
    await node.go(silence)
    before = await node.status()
    assert node.session is not None
    node.presence.beat(node.session)
    await node.presence.watch()
    assert await node.status() == before
    node.presence.beat(node.session)
    await node.presence.watch()
    assert await node.status() == "online"


async def test_beats_before_a_new_silence_do_not_count(database: Database) -> None:
    node = await watched(database)
    assert node.session is not None
    await node.go(LEASE - 1)
    node.presence.beat(node.session)
    await node.go(LEASE + 1)
    assert await node.status() == "offline"
    node.presence.beat(node.session)
    await node.presence.watch()
    assert await node.status() == "offline"
