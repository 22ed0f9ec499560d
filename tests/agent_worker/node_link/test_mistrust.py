"""Certificates that one side does not take: what the agent does then, and what its user reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent_worker.identity import Credentials, Identity
from agent_worker.node_link.membership import Joining
from agent_worker.node_link.rest import get_roots, post_join
from agent_worker.node_link.servers import ServerAddress, parse_servers
from agent_worker.node_link.session import Introduction, Link
from api.grpc.server import LinkServer, build_server
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import UnauthenticatedError, UnavailableError
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from tests.fixtures.certificates import NODE_CSR, NODE_KEY, TestAuthority, shared_own_key
from tests.fixtures.rest_server import ELSEWHERE, Serve
from tests.hang import HANG_SECONDS

DAY = timedelta(days=1)


@pytest.fixture
def other(tmp_path: Path) -> TestAuthority:
    return TestAuthority(tmp_path / "other")


def at(authority: TestAuthority, moved: timedelta) -> TestAuthority:
    """The same authority, whose server has a certificate that was made at another time."""
    authority.server = authority.authority.issue_server([], datetime.now(UTC) + moved)
    return authority


@pytest.mark.parametrize(
    ("moved", "words"),
    [(30 * DAY, r"not good yet by this machine's clock \(20"), (-400 * DAY, "good no longer by this machine's clock")],
)
def test_a_clock_that_is_far_off_is_named(pki: TestAuthority, serve: Serve, moved: timedelta, words: str) -> None:
    """A machine without a battery wakes up in another year."""
    server = serve(pki.roots, at(pki, moved))
    address = ServerAddress(ELSEWHERE, server.port)
    root = get_roots(address, pki.authority.pin)
    with pytest.raises(UnauthenticatedError, match=words) as caught:
        post_join(address, root, {"token": "gke_secret"})
    assert caught.value.hint is not None
    assert "clock" in caught.value.hint
    assert server.told == []


@pytest.mark.parametrize("moved", [DAY, -DAY])
def test_a_clock_that_is_a_day_off_is_no_hindrance(pki: TestAuthority, serve: Serve, moved: timedelta) -> None:
    server = serve(pki.roots, at(pki, moved))
    address = ServerAddress(ELSEWHERE, server.port)
    assert post_join(address, get_roots(address, pki.authority.pin), {"token": "gke_secret"})


async def test_a_node_that_was_away_for_longer_than_the_overlap_is_told_to_join_anew(
    pki: TestAuthority, other: TestAuthority, serve: Serve
) -> None:
    server = serve(other.roots, other)
    joining = Joining(parse_servers(f"{ELSEWHERE}:{server.port}"), shared_own_key)
    with pytest.raises(UnauthenticatedError, match=r"of another CA: .* if its CA was replaced") as caught:
        await joining.come_back(pki.identity(1))
    assert "gamekeeper node enrol node-1" in str(caught.value.hint)
    assert server.told == []


Mistrusted = Callable[[TestAuthority, TestAuthority], Identity]


def with_certificate(pki: TestAuthority, by: TestAuthority, moved: timedelta = timedelta()) -> Identity:
    """Its own clock says that the certificate is fresh."""
    chain = by.authority.issue_node(NODE_CSR, "node-1", 1, datetime.now(UTC) + moved).chain_pem
    own = Credentials(NODE_KEY, chain, pki.roots, time.time(), 86_400)
    return Identity(node_id="node-1", node_key="gkn_key", credentials=own)


MISTRUSTED: dict[str, Mistrusted] = {
    "the node's is of another CA": lambda pki, other: with_certificate(pki, other),
    "the node's ran out, by the server's clock": lambda pki, other: with_certificate(pki, pki, -2 * DAY),
    "the node's is not good yet, by the server's clock": lambda pki, other: with_certificate(pki, pki, 2 * DAY),
    "the server's is of another CA": lambda pki, other: with_certificate(other, pki),
}


@pytest.fixture
async def link_server(pki: TestAuthority) -> AsyncIterator[LinkServer]:
    server = build_server(pb_grpc.NodeLinkServicer(), "127.0.0.1:0", trust=pki.trust, reflect=False)  # type: ignore[abstract]
    await server.start()
    yield server
    await server.stop(0)


@pytest.mark.parametrize("what", MISTRUSTED)
async def test_a_certificate_that_is_not_taken_is_asked_about_soon(
    pki: TestAuthority, other: TestAuthority, link_server: LinkServer, what: str
) -> None:
    """REST says why, or gives another one. A server that can't be reached is given two minutes before that."""
    identity = MISTRUSTED[what](pki, other)
    identity.link_port = link_server.port
    asked = asyncio.Event()

    async def facts() -> NodeFacts:
        return NodeFacts()

    async def returned() -> None:
        asked.set()
        raise UnauthenticatedError("the node key is not known here")

    introduction = Introduction(facts, NodePolicy())
    link = Link(parse_servers("127.0.0.1"), identity, introduction, lambda _: None, returned=returned)
    running: asyncio.Task[Any] = asyncio.create_task(link.run_forever())
    try:
        await asyncio.wait_for(asked.wait(), HANG_SECONDS)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await link.close()


async def test_a_server_that_is_away_while_the_certificate_runs_out_is_told_once(
    pki: TestAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    """Each try asks REST for another one, and would be a line of the log for as long as the server is away."""
    identity = with_certificate(pki, pki)
    identity.link_port = 1
    identity.credentials = replace(identity.good_credentials, issued_at=0.0)
    asked = asyncio.Semaphore(0)

    async def facts() -> NodeFacts:
        return NodeFacts()

    async def returned() -> None:
        asked.release()
        raise UnavailableError("REST does not answer")

    introduction = Introduction(facts, NodePolicy())
    link = Link(parse_servers("127.0.0.1"), identity, introduction, lambda _: None, returned=returned)
    running: asyncio.Task[Any] = asyncio.create_task(link.run_forever())
    try:
        async with asyncio.timeout(HANG_SECONDS):
            for _ in range(3):
                await asked.acquire()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await link.close()
    assert caplog.text.count("REST does not answer") == 1
