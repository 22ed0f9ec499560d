"""Certificates on the node link: who has no good one gets no call, and who loses it loses what goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from agent_worker.__main__ import _become_member
from agent_worker.bootstrap import Agent
from agent_worker.identity import Credentials, Identity, load_identity
from agent_worker.node_link.membership import Joining, Membership, own_key
from agent_worker.node_link.servers import parse_servers
from agent_worker.settings import AgentSettings
from api.services.access.certificate import CertificateService
from api.services.node.console import Console
from gamekeeper.certificates.authority import Authority
from gamekeeper.certificates.node_key import new_key
from gamekeeper.certificates.node_name import read_node
from gamekeeper.domain.run.console import ConsoleRequest, ConsoleSize
from gamekeeper.rpc.convert import key_from_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.certificates import NODE_CSR, NODE_KEY, PASSPHRASE, TestAuthority, channel
from tests.fixtures.raw_agent import RawAgent
from tests.hang import HANG_SECONDS

STEP = pb.ContainerKey(run_id="0" * 32, step="a")
setattr(STEP, "try", 1)
Outside = Callable[[ApiUnderTest, str], Awaitable[None]]


pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no matter of the database


async def revoke(api: ApiUnderTest, _: str) -> None:
    assert (await api.http.post("/nodes/node-1/revoke")).status_code == 204


async def remove(api: ApiUnderTest, _: str) -> None:
    assert (await api.http.delete("/nodes/node-1")).status_code == 204


async def enrol_again(api: ApiUnderTest, _: str) -> None:
    await api.enrol()


async def revoke_behind_its_back(api: ApiUnderTest, _: str) -> None:
    """As another process does it: this one only sees the row."""
    async with api.database.write() as session:
        await (await session.connection()).execute(text("UPDATE nodes SET generation = generation + 1"))


@pytest.mark.parametrize("outside", [revoke, remove, enrol_again, revoke_behind_its_back])
async def test_all_that_goes_on_ends_when_a_node_is_out(api: ApiUnderTest, raw: RawAgent, outside: Outside) -> None:
    session = await raw.hello()

    async def nothing_more(first: Any) -> AsyncIterator[Any]:
        yield first
        await asyncio.Event().wait()

    request = ConsoleRequest("shell", key_from_pb(STEP), ("sh",), tty=True, size=ConsoleSize())
    console = api.process.services.consoles._open["shell"] = Console(request, "node-1")
    calls = {
        "session": session,
        "console": raw.dial.bulk.Console(nothing_more(pb.ConsoleOutput(console_id="shell")), metadata=raw.metadata),
        "subscription": raw.dial.control.Subscribe(pb.SubscribeRequest(), metadata=raw.metadata),
        "metrics": raw.dial.bulk.ReportMetrics(nothing_more(pb.MetricsBatch()), metadata=raw.metadata),
        "upload": raw.dial.bulk.UploadLogs(nothing_more(pb.LogBatch(key=STEP)), metadata=raw.metadata),
    }
    async with asyncio.timeout(HANG_SECONDS):
        while len(api.process.standing._calls) < len(calls):
            await asyncio.sleep(0.02)
        await console.joined.wait()
        await outside(api, "node-1")
        with suppress(grpc.aio.AioRpcError):
            async for _ in calls["subscription"]:  # its status comes behind what was pushed
                pass
        found = {name: await call.code() for name, call in calls.items()}
        assert found == dict.fromkeys(calls, grpc.StatusCode.UNAUTHENTICATED)
        while api.process.standing._calls:
            await asyncio.sleep(0.02)
        assert [output async for output in console.to_client.receiving] == []  # its user's side ends as well
    console.close()
    with pytest.raises(grpc.aio.AioRpcError, match="is void or ran out") as caught:
        await raw.hello()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def issued(authority: Authority, roots: str, moved: timedelta = timedelta()) -> Credentials:
    chain = authority.issue_node(NODE_CSR, "node-1", 1, datetime.now(UTC) + moved).chain_pem
    return Credentials(NODE_KEY, chain, roots, time.time(), 86_400)


async def ask(api: ApiUnderTest, credentials: Credentials) -> grpc.aio.AioRpcError:
    async with channel(api.link_address, credentials) as link:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.NodeLinkStub(link).ReportInventory(pb.Inventory(), timeout=HANG_SECONDS)
        return caught.value


async def test_no_connection_without_a_good_certificate(api: ApiUnderTest, tmp_path: Path) -> None:
    await api.add_node()
    own = Authority.open(api.folder / "ca", PASSPHRASE)
    other, roots = TestAuthority(tmp_path / "other"), api.process.certificates.roots
    server = api.process.certificates.server
    bad = {
        "another CA's": issued(other.authority, roots),
        "expired": issued(own, roots, -timedelta(days=2)),
        "not yet valid": issued(own, roots, timedelta(days=2)),
        "a server's": Credentials(server.key_pem, server.chain_pem, roots, 0, 0),
    }
    for what, credentials in bad.items():
        assert (await ask(api, credentials)).code() is grpc.StatusCode.UNAVAILABLE, what
    async with grpc.aio.insecure_channel(api.link_address) as plain:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.NodeLinkStub(plain).ReportInventory(pb.Inventory(), timeout=HANG_SECONDS)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_server_of_another_ca_gets_no_word(api: ApiUnderTest, tmp_path: Path) -> None:
    identity = TestAuthority(tmp_path / "other").identity(api.process.link_server.port)
    error = await ask(api, identity.good_credentials)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert not api.process.standing._calls


@pytest.mark.parametrize("moved", [-1, 1])
async def test_a_generation_that_is_not_the_nodes_gets_no_call(api: ApiUnderTest, raw: RawAgent, moved: int) -> None:
    own = Authority.open(api.folder / "ca", PASSPHRASE)
    read = read_node(raw.identity.good_credentials.chain.encode())
    chain = own.issue_node(NODE_CSR, "node-1", read.generation + moved, datetime.now(UTC)).chain_pem
    error = await ask(api, Credentials(NODE_KEY, chain, raw.identity.good_credentials.roots, 0, 0))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def connected(api: ApiUnderTest) -> Agent:
    """An agent in its session, that takes no steps."""
    await api.add_node()
    agent = api.make_agent(await api.enrol())
    for part in agent.work():
        api.background(part)
    await asyncio.wait_for(agent.link.connected.wait(), HANG_SECONDS)
    return agent


async def test_a_renewal_drops_no_call(api: ApiUnderTest) -> None:
    agent = await connected(api)
    identity, link = agent.membership.identity, agent.link
    first, dial = identity.good_credentials, link.calls.dial
    for _ in range(2):
        await agent.membership.renew(link)
    second = identity.good_credentials
    assert second.chain != first.chain
    assert read_node(second.chain.encode()).generation == read_node(first.chain.encode()).generation
    assert link.calls.dial is not dial
    await link.calls.report_inventory(pb.Inventory(problem="over the new connection"))
    assert link.calls.epoch == 1, "the session went on"
    assert link.connected.is_set()
    assert dial._closing is None, "the session's own connection is there until it ends"


async def test_certificates_are_renewed_by_themselves(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They live for a day here, and are said to live for a second: so no slow machine loses its link."""
    monkeypatch.setattr(CertificateService, "node_lifetime_seconds", 1)
    agent = await connected(api)
    seen = {agent.membership.identity.good_credentials.chain}
    async with asyncio.timeout(HANG_SECONDS):
        while len(seen) < 3:
            await asyncio.sleep(0.05)
            seen.add(agent.membership.identity.good_credentials.chain)
    assert agent.link.calls.epoch == 1


async def returning(api: ApiUnderTest, identity: Identity, folder: Path, token: str = "") -> Any:
    """An agent that runs its link, with REST to come back by."""
    joining = Joining(parse_servers(await api.serve_rest()), own_key(folder))
    agent = api.make_agent(identity, "returning")
    membership = Membership(joining, identity, token=lambda: token)
    agent.link._returned = membership.come_back
    api.background(agent.link.run_forever())
    return agent


async def test_a_node_whose_certificate_ran_out_comes_back_by_its_key(api: ApiUnderTest, tmp_path: Path) -> None:
    await api.add_node()
    identity = await api.enrol()
    own = Authority.open(api.folder / "ca", PASSPHRASE)
    read = read_node(identity.good_credentials.chain.encode())
    long_ago = datetime.now(UTC) - timedelta(days=2)
    chain = own.issue_node(NODE_CSR, "node-1", read.generation, long_ago).chain_pem
    identity.credentials = Credentials(NODE_KEY, chain, api.process.certificates.roots, long_ago.timestamp(), 86_400)
    agent = await returning(api, identity, tmp_path)
    await asyncio.wait_for(agent.link.connected.wait(), HANG_SECONDS)
    assert read_node(identity.good_credentials.chain.encode()).generation == read.generation
    await agent.link.close()


async def test_a_token_wins_over_an_identity_that_is_refused(api: ApiUnderTest, tmp_path: Path) -> None:
    await api.add_node()
    identity = await api.enrol()
    await api.process.enrolment.revoke("node-1")
    agent = await returning(api, identity, tmp_path, await api.new_token())
    await asyncio.wait_for(agent.link.connected.wait(), HANG_SECONDS)
    await agent.link.close()


async def test_a_rotation_restarts_nothing(api: ApiUnderTest, raw: RawAgent) -> None:
    """A node that has not heard of it still comes in, and learns the new roots when it renews."""
    session = await raw.hello()
    own = Authority.open(api.folder / "ca", PASSPHRASE)
    rotated = await asyncio.to_thread(own.rotate, PASSPHRASE, datetime.now(UTC))
    await api.process.certificates.refresh()
    assert api.process.certificates.pin == rotated.pin != own.pin
    async with channel(api.link_address, raw.identity.good_credentials) as link:
        answer = await pb_grpc.NodeLinkStub(link).RenewCertificate(
            pb.RenewCertificateRequest(csr=NODE_CSR), metadata=raw.metadata
        )
    fresh = Credentials(NODE_KEY, answer.certificate, answer.roots, 0, 0)
    async with channel(api.link_address, fresh) as link:
        await pb_grpc.NodeLinkStub(link).ReportInventory(pb.Inventory(), metadata=raw.metadata)
    await session.write(pb.AgentMessage(heartbeat=pb.Heartbeat(seq=5)))
    assert (await session.read()).heartbeat_ack.seq == 5
    assert (await api.new_token()).endswith(rotated.pin)


async def test_a_node_that_was_away_for_longer_than_the_overlap_comes_back_on_loopback(
    api: ApiUnderTest, tmp_path: Path
) -> None:
    """By its key, and within seconds. Elsewhere nothing tells the right server from another one: it needs a token."""
    await api.add_node()
    identity = await api.enrol()
    own = Authority.open(api.folder / "ca", PASSPHRASE)
    rotated = await asyncio.to_thread(own.rotate, PASSPHRASE, datetime.now(UTC), timedelta())
    await api.process.certificates.refresh()
    agent = await returning(api, identity, tmp_path)
    await asyncio.wait_for(agent.link.connected.wait(), HANG_SECONDS)
    assert identity.good_credentials.roots == rotated.roots_pem(datetime.now(UTC))
    await agent.link.close()


async def test_a_renewal_takes_nothing_but_a_good_request(raw: RawAgent) -> None:
    _session = await raw.hello()
    for bad in ("", "x", "x" * 5000, new_key()):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw.dial.control.RenewCertificate(pb.RenewCertificateRequest(csr=bad), metadata=raw.metadata)
        assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)


@pytest.mark.parametrize("with_token", [True, False])
async def test_an_agent_of_the_version_before_becomes_the_same_node(
    api: ApiUnderTest, tmp_path: Path, with_token: bool
) -> None:
    """Its folder has a node key and no certificate. A token makes it a member anywhere; on loopback its key does. Until
    then its node says what is to be done, because it can't."""
    await api.add_node()
    old = await api.enrol()
    async with api.database.write() as session:  # as the migration leaves the row
        await (await session.connection()).execute(text("UPDATE nodes SET generation = 0"))
    await api.process.conditions.load()
    assert ["gamekeeper node enrol" in reason for reason in await outdated(api)] == [True]
    (tmp_path / "identity.json").write_text(f'{{"node_id": "node-1", "node_key": "{old.node_key}"}}')
    settings = AgentSettings(
        server=await api.serve_rest(), state_dir=tmp_path, token=await api.new_token() if with_token else ""
    )
    joining = Joining(parse_servers(settings.server), own_key(tmp_path))
    identity = await _become_member(settings, joining)
    assert identity.node_id == "node-1"
    assert (identity.node_key == old.node_key) is not with_token
    kept = load_identity(tmp_path)
    assert kept is not None
    agent = api.make_agent(kept, "upgraded")
    api.background(agent.link.run_forever())
    await asyncio.wait_for(agent.link.connected.wait(), HANG_SECONDS)
    async with asyncio.timeout(HANG_SECONDS):
        while await outdated(api):
            await asyncio.sleep(0.02)
    await api.process.conditions.load()
    assert await outdated(api) == [], "a restart of the api does not raise it again"
    await agent.link.close()


async def outdated(api: ApiUnderTest) -> list[str]:
    conditions = (await api.http.get("/nodes/node-1")).json()["conditions"]
    return [condition["reason"] for condition in conditions if condition["type"] == "AgentOutdated"]
