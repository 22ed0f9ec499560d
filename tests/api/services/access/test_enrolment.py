"""Enrolment: each one makes what the node had before void, and so does a revocation."""

from __future__ import annotations

from datetime import timedelta

import pytest

from api.services.access.enrolment import EnrolmentService
from api.services.node.node import NodeService
from gamekeeper.db.engine import Database
from gamekeeper.db.models import NodeRow
from gamekeeper.db.node_directory import SqlNodeDirectory
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.errors import NotFoundError, UnauthenticatedError


async def ignore(_: str) -> None:
    return None


@pytest.fixture
async def nodes(database: Database) -> NodeService:
    service = NodeService(database, ignore, lambda _: False, lambda _: None, lambda: "PIN")
    await service.create({"id": "edge-1"})
    return service


@pytest.fixture
def enrolment(database: Database) -> EnrolmentService:
    return EnrolmentService(database, SqlNodeDirectory(database))


async def generation(database: Database) -> int:
    async with database.read() as session:
        return (await NodeRepository(session).get("edge-1")).generation


async def test_each_enrolment_raises_the_generation(
    database: Database, nodes: NodeService, enrolment: EnrolmentService
) -> None:
    seen, keys = [await generation(database)], []
    for _ in range(2):
        token, _ = await nodes.new_token("edge-1", timedelta(minutes=1))
        keys.append((await enrolment.register(token)).node_key)
        seen.append(await generation(database))
    assert seen == [seen[0], seen[0] + 1, seen[0] + 2]
    with pytest.raises(UnauthenticatedError):
        await enrolment.authenticate(f"Bearer {keys[0]}")


async def test_a_token_of_another_node_is_refused_and_not_spent(
    database: Database, nodes: NodeService, enrolment: EnrolmentService
) -> None:
    token, _ = await nodes.new_token("edge-1", timedelta(minutes=1))
    before = await generation(database)
    with pytest.raises(
        UnauthenticatedError, match="of node edge-1, and this agent is node edge-2; the token is not spent"
    ):
        await enrolment.register(token, "edge-2")
    assert await generation(database) == before
    assert (await enrolment.register(token, "edge-1")).node_id == "edge-1"


async def test_a_revoked_node_is_out_until_it_spends_a_new_token(
    database: Database, nodes: NodeService, enrolment: EnrolmentService
) -> None:
    token, _ = await nodes.new_token("edge-1", timedelta(minutes=1))
    key = (await enrolment.register(token)).node_key
    before = await generation(database)
    assert await enrolment.authenticate(f"Bearer {key}") == "edge-1"
    unspent, _ = await nodes.new_token("edge-1", timedelta(minutes=1))
    await enrolment.revoke("edge-1")
    with pytest.raises(UnauthenticatedError):
        await enrolment.register(unspent)
    assert await generation(database) > before
    assert await SqlNodeDirectory(database).generation("edge-1") is None, "not even with a newer certificate"
    with pytest.raises(UnauthenticatedError):
        await enrolment.authenticate(f"Bearer {key}")
    with pytest.raises(NotFoundError):
        await enrolment.revoke("edge-2")
    token, _ = await nodes.new_token("edge-1", timedelta(minutes=1))
    await enrolment.register(token)
    assert await SqlNodeDirectory(database).generation("edge-1") == await generation(database)


def test_a_node_that_is_made_again_is_another_one() -> None:
    assert len({NodeRow(id="edge-1", name="edge-1").generation for _ in range(4)}) > 1
