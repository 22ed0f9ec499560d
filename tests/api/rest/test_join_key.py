"""Join keys and the list of waiting machines over REST."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gamekeeper.certificates.node_key import csr, new_key, own_fingerprint
from gamekeeper.certificates.node_name import read_node
from gamekeeper.certificates.pem import pinned_root
from gamekeeper.domain.node.join import short_fingerprint
from gamekeeper.keys import JOIN_KEY_PREFIX, PIN_MARK
from gamekeeper.rpc.version import PROTOCOL_VERSION
from tests.fixtures.api import ApiUnderTest

SECRET = slice(len(JOIN_KEY_PREFIX), 30)


async def make(api: ApiUnderTest, **fields: Any) -> dict[str, Any]:
    answer = await api.http.post("/join-keys", json=fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


class NewMachine:
    """A machine with a key of its own and a host name."""

    def __init__(self, api: ApiUnderTest, host: str = "gpu-01") -> None:
        self.api, self.host, self.key = api, host, new_key()
        self.id = short_fingerprint(own_fingerprint(self.key))

    async def join(self, token: str, **fields: Any) -> httpx.Response:
        body = {"token": token, "csr": csr(self.key), "protocol_version": PROTOCOL_VERSION, "host": self.host}
        return await self.api.anonymous.post("/api/v1/join", json=body | fields)


async def test_a_key_is_made_listed_and_revoked(api: ApiUnderTest) -> None:
    made = await make(api, uses=3, hours=2, labels={"pool": "arena"}, policy={"devices": ["gpu"]})
    key, policy = made.pop("key"), {"devices": ["gpu"]}
    assert pinned_root((await api.anonymous.get("/api/v1/roots")).text, key.partition(PIN_MARK)[2])
    assert (made["state"], made["uses"], made["max_uses"], made["policy"]) == ("good", 0, 3, policy)
    assert made["created_by"] == "key:admin"
    listed = await api.http.get("/join-keys")
    assert listed.json()["items"] == [made]
    assert (await api.http.get(f"/join-keys/{made['id']}")).json() == made
    for _ in range(2):
        assert (await api.http.delete(f"/join-keys/{made['id']}")).status_code == 204
    assert (await api.http.get(f"/join-keys/{made['id']}")).json()["state"] == "revoked"
    answer = await NewMachine(api).join(key)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert "was revoked" in answer.json()["detail"]
    everything = listed.text + answer.text + (await api.http.get("/events")).text
    assert key[SECRET] not in everything
    assert (await api.http.delete("/join-keys/nothing")).status_code == 404


async def test_a_machine_joins_and_is_a_node_with_a_certificate(api: ApiUnderTest) -> None:
    made = await make(api, labels={"pool": "arena"}, capacity_override={"gpus": 1}, policy={"devices": ["gpu"]})
    joined = (await NewMachine(api).join(made["key"])).json()
    assert joined["policy"] == {"devices": ["gpu"]}
    node = read_node(joined["certificate"].encode())
    assert node.node_id == joined["node_id"] == "gpu-01"
    found = (await api.http.get("/nodes/gpu-01")).json()
    assert (found["labels"], found["capacity"]) == ({"pool": "arena"}, {"gpus": 1})
    back = await api.anonymous.post(
        "/api/v1/join",
        json={"csr": csr(new_key()), "protocol_version": PROTOCOL_VERSION},
        headers={"Authorization": f"Bearer {joined['node_key']}"},
    )
    assert back.status_code == 200


async def test_a_request_that_is_refused_costs_no_use(api: ApiUnderTest) -> None:
    made = await make(api)
    machine = NewMachine(api)
    for wrong, status in (
        ({"csr": "nothing"}, 422),
        ({"protocol_version": 0}, 412),
        ({"host": ""}, 422),
        ({"host": "\x1b[2J"}, 422),
        ({"host": "x" * 300}, 422),
        ({"node_id": "Other"}, 422),
        ({"node_id": "other"}, 401),
        ({"facts": {"os": "x" * 5000}}, 422),
        ({"facts": {"cpu_count": -1}}, 422),
    ):
        assert (await machine.join(made["key"], **wrong)).status_code == status, wrong
    assert (await machine.join(made["key"])).status_code == 200


async def test_an_approved_machine_gets_in_and_a_refused_one_does_not(api: ApiUnderTest) -> None:
    made = await make(api, uses=2, approve=True)
    wanted, unwanted = NewMachine(api), NewMachine(api, "evil")
    waits = await wanted.join(made["key"], facts={"os": "Debian\x1b[2J", "cpu_count": 4})
    assert waits.status_code == 202
    assert waits.json() == {"join": wanted.id, "node_id": "gpu-01", "reason": "key_asks", "ask_again_seconds": 5}
    assert (await unwanted.join(made["key"])).status_code == 202
    listed = {item["id"]: item for item in (await api.http.get("/joins?state=waiting")).json()["items"]}
    assert set(listed) == {wanted.id, unwanted.id}
    assert (listed[wanted.id]["host"], listed[wanted.id]["key_id"]) == ("gpu-01", made["id"])
    assert (listed[wanted.id]["facts"]["os"], listed[wanted.id]["facts"]["cpu_count"]) == ("Debian[2J", 4)
    refused = await api.http.post(f"/joins/{unwanted.id}/refuse", json={"message": "no"})
    assert (refused.json()["state"], refused.json()["decided_by"]) == ("refused", "key:admin")
    assert (await api.http.post(f"/joins/{wanted.id}/approve")).json()["state"] == "approved"
    assert (await wanted.join(made["key"])).json()["node_id"] == "gpu-01"
    answer = await unwanted.join(made["key"])
    assert (answer.status_code, "refused this machine" in answer.json()["detail"]) == (401, True)
    assert [item["state"] for item in (await api.http.get("/joins?state=refused")).json()["items"]] == ["refused"]
    assert (await api.http.delete(f"/joins/{wanted.id}")).status_code == 409
    assert (await api.http.delete("/joins")).json() == {"removed": 1}
    assert (await api.http.delete(f"/joins/{unwanted.id}")).status_code == 404
    kinds = [event["kind"] for event in (await api.http.get("/events?kind=node")).json()["items"]]
    assert {"node.join_waiting", "node.join_approved", "node.join_refused", "node.join_removed"} <= set(kinds)


async def test_the_identity_of_a_node_is_given_by_an_operator_alone(api: ApiUnderTest) -> None:
    await api.add_node("gpu-01", labels={"rack": "4"})
    mine = await api.enrol("gpu-01")
    made = await make(api, labels={"rack": "9"})
    machine = NewMachine(api)
    waits = await machine.join(made["key"])
    assert (waits.status_code, waits.json()["reason"]) == (202, "name_taken")
    refused = await api.http.post(f"/joins/{machine.id}/approve")
    assert (refused.status_code, "--replace" in refused.json()["hint"]) == (409, True)
    body = {"csr": csr(new_key()), "protocol_version": PROTOCOL_VERSION}
    headers = {"Authorization": f"Bearer {mine.node_key}"}
    assert (await api.anonymous.post("/api/v1/join", json=body, headers=headers)).status_code == 200
    assert (await api.http.post(f"/joins/{machine.id}/approve", json={"replace": True})).status_code == 200
    assert (await machine.join(made["key"])).json()["node_id"] == "gpu-01"
    assert (await api.anonymous.post("/api/v1/join", json=body, headers=headers)).status_code == 401
    assert (await api.http.get("/nodes/gpu-01")).json()["labels"] == {"rack": "4"}


@pytest.mark.parametrize(
    "fields",
    [
        {"uses": 0},
        {"uses": 10_001},
        {"hours": 0},
        {"hours": 2161},
        {"name_pattern": "{n}{n}"},
        {"name_pattern": "Ü"},
        {"name_pattern": "x" * 81},
        {"labels": {"": "x"}},
        {"labels": {"x": "y" * 256}},
        {"labels": {str(number): "" for number in range(65)}},
        {"capacity_override": {"gpus": -1}},
        {"policy": {"unknown": True}},
        {"policy": {"host_paths": "x"}},
        {"policy": {"host_paths": ["/srv" * 100] * 1000}},
        {"description": "x" * 201},
        {"more": 1},
    ],
)
async def test_keys_that_are_not_made(refusing_api: ApiUnderTest, fields: dict[str, Any]) -> None:
    assert (await refusing_api.http.post("/join-keys", json=fields)).status_code == 422
    assert (await refusing_api.http.get("/join-keys")).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/join-keys/%00", 422),
        ("DELETE", "/join-keys/" + "x" * 17, 422),
        ("GET", "/joins?state=odd", 422),
        ("POST", "/joins/nothing/approve", 404),
        ("POST", "/joins/nothing/refuse", 404),
        ("POST", "/joins/%00/approve", 422),
        ("DELETE", "/joins/nothing", 404),
    ],
)
async def test_bad_paths(refusing_api: ApiUnderTest, method: str, path: str, status: int) -> None:
    assert (await refusing_api.http.request(method, path)).status_code == status


async def test_an_older_agent_joins_where_no_host_name_is_needed(api: ApiUnderTest) -> None:
    body = {"csr": csr(new_key()), "protocol_version": PROTOCOL_VERSION}
    named = await make(api)
    answer = await api.anonymous.post("/api/v1/join", json=body | {"token": named["key"]})
    assert (answer.status_code, "gives no node id" in answer.json()["detail"]) == (422, True)
    numbered = await make(api, name_pattern="edge-{n}")
    answer = await api.anonymous.post("/api/v1/join", json=body | {"token": numbered["key"]})
    assert answer.json()["node_id"] == "edge-1"
