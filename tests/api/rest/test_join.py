"""Joining: a token or a node's key buys a certificate for a key of the machine's own, and nothing else does."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gamekeeper.certificates.node_key import csr, new_key
from gamekeeper.certificates.node_name import read_node
from gamekeeper.certificates.pem import pinned_root
from gamekeeper.keys import PIN_MARK
from gamekeeper.rpc.version import PROTOCOL_VERSION
from tests.fixtures.api import ApiUnderTest
from tests.gamekeeper.certificates.handshake import shake_hands


def request(**fields: Any) -> dict[str, Any]:
    return {"csr": csr(new_key()), "protocol_version": PROTOCOL_VERSION} | fields


async def new_token(api: ApiUnderTest) -> str:
    return str((await api.http.post("/nodes/node-1/enrolment-tokens", json={})).json()["token"])


async def join(api: ApiUnderTest, body: dict[str, Any], key: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return await api.anonymous.post("/api/v1/join", json=body, headers=headers)


@pytest.fixture
async def token(api: ApiUnderTest) -> str:
    await api.add_node()
    return await new_token(api)


async def test_a_token_buys_a_certificate_that_its_own_server_takes(api: ApiUnderTest, token: str) -> None:
    key = new_key()
    answer = await join(api, request(token=token, csr=csr(key)))
    assert answer.status_code == 200, answer.text
    joined = answer.json()
    assert joined["node_id"] == read_node(joined["certificate"].encode()).node_id == "node-1"
    assert joined["link_port"] == api.process.link_server.port
    pin = token.partition(PIN_MARK)[2]
    assert pinned_root(joined["roots"], pin)
    assert pinned_root((await api.anonymous.get("/api/v1/roots")).text, pin)
    server = api.process.certificates.server
    shake_hands(
        server=(server.key_pem, server.chain_pem),
        client=(key, joined["certificate"]),
        server_trusts=joined["roots"],
        client_trusts=joined["roots"],
    )


async def test_a_token_is_good_once(api: ApiUnderTest, token: str) -> None:
    assert (await join(api, request(token=token))).status_code == 200
    again = await join(api, request(token=token))
    assert (again.status_code, again.json()["code"]) == (401, "unauthenticated")


async def test_the_secret_alone_is_good_too(api: ApiUnderTest, token: str) -> None:
    assert (await join(api, request(token=token.partition(PIN_MARK)[0]))).status_code == 200


async def test_a_request_that_is_refused_spends_no_token(api: ApiUnderTest, token: str) -> None:
    for refused, status in (
        (request(token=token, csr="nothing"), 422),
        (request(token=token, csr="x" * 5000), 422),
        (request(token=token, protocol_version=0), 412),
        (request(token=token, protocol_version=10_000), 412),
    ):
        assert (await join(api, refused)).status_code == status
    assert (await join(api, request(token=token))).status_code == 200


async def test_a_node_returns_by_its_key_as_the_same_generation(api: ApiUnderTest, token: str) -> None:
    joined = (await join(api, request(token=token))).json()
    answer = await join(api, request(), joined["node_key"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["node_key"] == ""
    first, second = (read_node(item["certificate"].encode()) for item in (joined, answer.json()))
    assert (second.node_id, second.generation) == (first.node_id, first.generation)


@pytest.mark.parametrize("key", ["gkn_wrong", "", "²", "x" * 150])
async def test_no_other_key_returns(api: ApiUnderTest, token: str, key: str) -> None:
    headers = {b"Authorization": f"Bearer {key}".encode()}
    answer = await api.anonymous.post("/api/v1/join", json=request(), headers=headers)
    assert answer.status_code == 401, answer.text


async def test_no_key_of_a_user_joins(api: ApiUnderTest, token: str) -> None:
    answer = await api.http.post("/join", json=request())
    assert answer.status_code == 401, answer.text


async def test_a_revoked_node_does_not_return(api: ApiUnderTest, token: str) -> None:
    joined = (await join(api, request(token=token))).json()
    await api.process.enrolment.revoke("node-1")
    assert (await join(api, request(), joined["node_key"])).status_code == 401


async def test_a_removed_node_does_not_return(api: ApiUnderTest, token: str) -> None:
    joined = (await join(api, request(token=token))).json()
    assert (await api.http.delete("/nodes/node-1")).status_code == 204
    assert (await join(api, request(), joined["node_key"])).status_code == 401
    assert (await join(api, request(token=token))).status_code == 401
