"""Membership: a join that waits, a removed node that stays away, and a policy that is written once."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from agent_worker.__main__ import _become_member
from agent_worker.identity import load_identity
from agent_worker.node_link import membership
from agent_worker.node_link.membership import Joining, Membership
from agent_worker.node_link.rest import JoinWaitsError
from agent_worker.node_link.servers import parse_servers
from agent_worker.node_link.session import Introduction, Link
from agent_worker.policy import HEAD, keep_template, load_policy
from agent_worker.settings import AgentSettings
from gamekeeper.certificates.node_key import own_fingerprint
from gamekeeper.domain.node.join import short_fingerprint
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import InvalidError, UnauthenticatedError, UnavailableError
from gamekeeper.keys import hash_key
from tests.fixtures.certificates import NODE_KEY, TestAuthority, shared_own_key
from tests.fixtures.rest_server import RestServer, Serve
from tests.told import told

KEY, OTHER_KEY = "gkj_first", "gkj_second"
JOIN = short_fingerprint(own_fingerprint(NODE_KEY))


async def no_facts() -> NodeFacts:
    return NodeFacts()


@pytest.fixture
def server(pki: TestAuthority, serve: Serve) -> RestServer:
    return serve(pki.roots, None)


@pytest.fixture
def joining(server: RestServer) -> Joining:
    async def describe() -> dict[str, Any]:
        return {"host": "gpu-01"}

    return Joining(parse_servers(f"127.0.0.1:{server.port}"), shared_own_key, describe)


def joined(server: RestServer, **fields: Any) -> tuple[int, str]:
    answer = {"node_id": "gpu-01", "node_key": "gkn_1", "certificate": "C", "roots": server.roots}
    return 200, json.dumps(answer | {"link_port": 1, "gateway_port": 2, "lifetime_seconds": 9.0} | fields)


def waits(join: str = JOIN, reason: str = "key_asks") -> tuple[int, str]:
    return 202, json.dumps({"join": join, "node_id": "gpu-01", "reason": reason, "ask_again_seconds": 0.01})


def refused(why: str) -> tuple[int, str]:
    return 401, json.dumps({"detail": why})


async def test_a_machine_that_waits_says_so_once_and_goes_on_by_itself(
    server: RestServer,
    joining: Joining,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(membership, "MIN_WAIT_SECONDS", 0.001)
    server.next_answers = [waits(), waits(), waits(reason="name_taken"), waits(reason="name_taken")]
    server.answer = joined(server, policy={"privileged": True})
    settings = AgentSettings(state_dir=tmp_path / "agent", token=KEY)
    settings.state_dir.mkdir()
    with caplog.at_level(logging.WARNING):
        identity = await _become_member(settings, joining)
    assert told(caplog) == [
        f'this machine, {JOIN}, waits for an approval on 127.0.0.1: it is to be node "gpu-01"; '
        f"gamekeeper joins approve {JOIN}",
        f'this machine, {JOIN}, waits for an approval on 127.0.0.1: there is a node "gpu-01" already; gamekeeper joins '
        f"approve {JOIN} --replace where this machine is that node, reinstalled; or gamekeeper joins approve {JOIN} "
        "--node ANOTHER",
    ]
    assert {item["token"] for _, item in server.told} == {KEY}
    assert (identity.node_id, identity.joined_by) == ("gpu-01", hash_key(KEY))
    assert load_policy(settings.policy_path).privileged
    stored = load_identity(settings.state_dir)
    assert stored is not None
    assert KEY not in "".join(path.read_text() for path in settings.state_dir.iterdir())


async def test_a_token_file_that_is_not_there_is_named(joining: Joining, tmp_path: Path) -> None:
    with pytest.raises(UnauthenticatedError, match=f"no identity in {tmp_path}, and {tmp_path}/token is not there"):
        await _become_member(AgentSettings(state_dir=tmp_path, token_file=tmp_path / "token"), joining)
    with pytest.raises(UnauthenticatedError, match=f"no identity in {tmp_path}; make a join key"):
        await _become_member(AgentSettings(state_dir=tmp_path), joining)


async def test_a_server_that_speaks_of_another_machine_is_not_believed(server: RestServer, joining: Joining) -> None:
    server.answer = waits("3f2a-91bc-7d10-44e9")
    with pytest.raises(UnauthenticatedError, match="speaks of a machine 3f2a-91bc-7d10-44e9, and this one is"):
        await joining.join(KEY)
    server.answer = waits()
    with pytest.raises(JoinWaitsError):
        await joining.join(KEY)


async def test_a_removed_node_does_not_come_back_by_the_key_that_it_joined_with(
    server: RestServer, joining: Joining
) -> None:
    server.answer = joined(server)
    identity = await joining.join(KEY)
    given = [KEY]
    member = Membership(joining, identity, token=lambda: given[0])
    server.told.clear()
    server.answer = refused("the node key is not known here")
    with pytest.raises(UnauthenticatedError, match="the node key is not known here"):
        await member.come_back()
    assert [item.get("token") for _, item in server.told] == [None], "the key was not brought again"
    given[0] = OTHER_KEY
    server.next_answers = [server.answer]
    server.answer = joined(server, node_key="gkn_2")
    await member.come_back()
    assert server.told[-1][1]["token"] == OTHER_KEY
    assert server.told[-1][1]["node_id"] == "gpu-01", "it may become no other node"
    assert (identity.node_key, identity.joined_by) == ("gkn_2", hash_key(OTHER_KEY))


async def test_a_token_of_one_node_says_nothing_of_the_machine(server: RestServer, joining: Joining) -> None:
    server.answer = joined(server)
    await joining.join("gke_token")
    assert set(server.told[-1][1]) == {"token", "csr", "protocol_version"}


async def test_a_token_that_replaces_a_refused_key_says_which_node_this_is(
    server: RestServer, joining: Joining
) -> None:
    """A token of another node is refused then before it is spent."""
    server.answer = joined(server)
    member = Membership(joining, await joining.join("gke_first"), token=lambda: "gke_second")
    server.next_answers = [refused("the node key is not known here"), refused("the token is of node b")]
    with pytest.raises(UnauthenticatedError, match="the token is of node b"):
        await member.come_back()
    assert (server.told[-1][1]["token"], server.told[-1][1]["node_id"]) == ("gke_second", "gpu-01")


async def test_each_of_several_servers_has_a_port_of_its_own(
    server: RestServer, pki: TestAuthority, serve: Serve
) -> None:
    other = serve(pki.roots, None)
    chain = pki.identity(1).good_credentials.chain
    server.answer = joined(server, link_port=11, certificate=chain)
    other.answer = joined(other, link_port=12, certificate=chain)
    servers = parse_servers(f"127.0.0.1:{server.port},127.0.0.1:{other.port}")
    joining = Joining(servers, shared_own_key)
    member = Membership(joining, await joining.join("gke_token"))
    for _ in range(2):
        await member.learn_ports(servers[1])
    assert len(other.told) == 1, "it is asked once"
    assert other.told[0][0] == "Bearer gkn_1"
    link = Link(servers, member.identity, Introduction(no_facts, NodePolicy()), lambda _: None)
    for port in (11, 12, 11):
        assert link.server == f"127.0.0.1:{port}"
        await link._next_server()
    await link.close()


def test_a_template_is_written_where_there_is_no_policy(tmp_path: Path) -> None:
    path = tmp_path / "agent" / "policy.yaml"
    keep_template(path, {"devices": ["gpu"]})
    assert path.read_text() == HEAD + "devices:\n- gpu\n"
    assert load_policy(path).devices == ["gpu"]
    keep_template(path, {"privileged": True})
    assert load_policy(path).privileged is False


@pytest.mark.parametrize("own", ["", "host_paths: []\n"])
def test_the_machines_own_policy_wins(tmp_path: Path, own: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(own)
    keep_template(path, {"privileged": True})
    assert path.read_text() == own


def test_a_template_that_is_not_understood_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="the join key's policy can't be used here"):
        keep_template(tmp_path / "policy.yaml", {"of_a_newer_version": True})
    assert not (tmp_path / "policy.yaml").exists()


def test_a_policy_that_can_not_be_written_is_no_silent_default(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="can't be written"):
        keep_template(tmp_path / "file" / "policy.yaml", {"privileged": True})
