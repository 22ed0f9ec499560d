"""The CA as an operator uses it: shown, rotated under agents that work, and rid of a root whose overlap is over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent_worker.node_link import membership as module
from agent_worker.node_link.membership import Joining, own_key
from agent_worker.node_link.servers import parse_servers
from api.services.access.standing import GRACE
from gamekeeper.certificates.node_name import read_node
from gamekeeper.certificates.pem import certificates_in, pin_of
from gamekeeper.certificates.step_signature import Signature, StepSigner, StepVerifier
from gamekeeper.errors import UnauthenticatedError
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.certificates import NODE_CSR, PASSPHRASE
from tests.hang import HANG_SECONDS

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no matter of the database

DAY = timedelta(days=1)


def signer(folder: Path) -> StepSigner:
    return StepSigner((folder / "steps.key").read_bytes(), (folder / "steps.pem").read_bytes())


def why_not(signature: Signature, roots: str) -> str:
    return StepVerifier(lambda: roots).why_not(signature, b"step", datetime.now(UTC))


async def test_it_shows_its_root_and_nobody_is_behind(api: ApiUnderTest) -> None:
    await api.add_node()
    await api.enrol()
    found = (await api.http.get("/ca")).json()
    (root,) = found["roots"]
    assert (found["outside"], found["nodes_behind"]) == (False, [])
    assert root["pin"] == api.process.certificates.pin
    assert (root["signs"], root["trusted_until"]) == (True, root["not_after"])
    assert abs(datetime.fromisoformat(root["made_at"]) - datetime.now(UTC)) < DAY


async def test_a_rotation_is_learnt_by_agents_at_once_and_drops_nothing(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKED_PERIODS", 0.1)
    await api.add_node("away")
    await api.enrol("away")
    await api.add_node()
    agent = api.make_agent(await api.enrol())
    for part in agent.work():
        api.background(part)
    await asyncio.wait_for(agent.link.connected.wait(), HANG_SECONDS)
    identity = agent.membership.identity
    async with asyncio.timeout(HANG_SECONDS):
        while not any(call.credential.node_id == "node-1" for call in api.process.standing._calls):
            await asyncio.sleep(0.02)
        before = api.process.certificates.pin
        rotated = (await api.http.post("/ca/rotate")).json()
        assert [root["signs"] for root in rotated["roots"]] == [True, False]
        assert rotated["roots"][1]["pin"] == before
        while len(certificates_in(identity.good_credentials.roots)) < 2:
            await asyncio.sleep(0.02)
        await agent.link.calls.report_inventory(pb.Inventory(problem="with the new certificate"))
        while (await api.http.get("/ca")).json()["nodes_behind"] != ["away"]:
            await asyncio.sleep(0.02)
    assert read_node(identity.good_credentials.chain.encode()).issuer == api.process.certificates.authority.key_id
    assert agent.link.calls.epoch == 1, "the session went on"
    assert agent.link.connected.is_set()
    events = (await api.http.get("/events", params={"kind": "ca.rotated"})).json()["items"]
    assert [event["data"]["pin"] for event in events] == [rotated["roots"][0]["pin"]]
    assert events[0]["actor"] == "key:admin"


async def test_a_node_that_was_there_after_all_older_certificates_is_not_behind(api: ApiUnderTest) -> None:
    """The certificates that an api process of before was shown are not known."""
    await api.add_node()
    await api.enrol()
    await api.http.post("/ca/rotate")
    newest = api.process.certificates.trusted[0]
    authority = api.process.services.authority
    lifetime = timedelta(seconds=api.process.certificates.node_lifetime_seconds) + GRACE
    assert not authority._knows("node-1", newest.made_at + lifetime, newest.made_at)
    assert authority._knows("node-1", newest.made_at + lifetime + timedelta(seconds=1), newest.made_at)
    assert not authority._knows("node-1", None, newest.made_at)


async def test_a_second_rotation_has_to_be_meant(api: ApiUnderTest) -> None:
    for body, status in ({}, 200), ({}, 409), ({"again": True}, 200), ({"again": True}, 409):
        answer = await api.http.post("/ca/rotate", json=body)
        assert answer.status_code == status, answer.text
    assert "3 roots are trusted at once" in answer.json()["detail"]
    assert (await api.http.post("/ca/rotate", json={"overlap_days": 0})).status_code == 422


async def test_all_that_was_given_out_goes_on_for_the_overlap_and_no_longer(api: ApiUnderTest, tmp_path: Path) -> None:
    certificates = api.process.certificates
    await api.add_node()
    old_token, late_token = await api.new_token(), await api.new_token()
    old_root = certificates.roots
    steps = tmp_path / "ca" / "steps"
    await certificates.refresh()
    old_step = signer(steps).sign(b"step")
    await api.http.post("/ca/rotate", json={"overlap_days": 2})
    new_step = signer(steps).sign(b"step")
    assert new_step.chain != old_step.chain
    for trusted in (old_root, certificates.roots):
        for signature in (old_step, new_step):
            assert why_not(signature, trusted) == ""
    joining = Joining(parse_servers(await api.serve_rest()), own_key(tmp_path / "agent"))
    identity = await joining.join(old_token)
    assert len(certificates_in(identity.good_credentials.roots)) == 2

    certificates._clock = lambda: datetime.now(UTC) + 2 * DAY + timedelta(minutes=1)
    await certificates.refresh()
    assert [pin_of(root) for root in certificates_in(certificates.roots)] == [certificates.pin]
    assert (tmp_path / "ca" / "roots.pem").read_text() == certificates.roots
    assert (tmp_path / "ca" / "gateway" / "roots.pem").read_text() == certificates.roots
    assert len(certificates_in(certificates.server.chain_pem)) == 2, "made in the overlap"
    assert len(certificates_in(certificates.issue(NODE_CSR, "node-1", 1).chain_pem)) == 1
    assert "vouched for by none of the roots" in why_not(old_step, certificates.roots)
    assert why_not(new_step, certificates.roots) == ""
    with pytest.raises(UnauthenticatedError, match="no root of it has the pin"):
        await joining.join(late_token)
    assert (await api.http.get("/ca")).json()["nodes_behind"] == []
    assert PASSPHRASE not in str((await api.http.get("/ca")).json())
