"""The routes of the keys that encrypt what goes through Temporal, and of its UI's decoder."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload

from api.app import create_app
from api.services.access import payload_key
from gamekeeper.db.payload_trouble_log import SqlPayloadTroubleLog
from gamekeeper.domain.access.payload_trouble import PayloadTrouble
from gamekeeper.payload_keys import ring
from tests.api.rest.people import PASSWORD, make_user
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.hang import HANG_SECONDS

ORIGIN = "http://127.0.0.1:8233"
WORDS = Payload(metadata={"encoding": b"json/plain"}, data=b'"canary"')


async def listed(api: ApiUnderTest) -> dict[str, Any]:
    answer = await api.http.get("/payload-keys")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_key_is_made_and_writes_after_its_delay(api: ApiUnderTest) -> None:
    (first,) = (await listed(api))["items"]
    assert (first["state"], first["histories"], first["open"]) == ("writes", None, [])
    made = await api.http.post("/payload-keys/rotate", json={"delay_seconds": 3600})
    assert made.json()["state"] == "waits"
    assert [key["state"] for key in (await listed(api))["items"]] == ["waits", "writes"]
    again = await api.http.post("/payload-keys/rotate")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    text = api.seals.keys.path.read_text()
    for key in api.seals.keys.ring.keys:
        assert key.secret in text
        assert key.secret not in (await api.http.get("/payload-keys")).text


async def test_a_key_may_go_when_no_history_needs_it(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "LATE", timedelta())
    (first,) = (await listed(api))["items"]
    refused = await api.http.delete(f"/payload-keys/{first['id']}")
    assert refused.status_code == 409
    assert "writes" in refused.json()["detail"]
    assert (await api.http.delete("/payload-keys/nobody")).status_code == 404
    await api.add_node()
    run = await api.submit({"name": "a", "type": "approval", "approval": {"message": "go on?"}})
    made = await api.http.post("/payload-keys/rotate", json={"delay_seconds": 0})
    assert made.json()["state"] == "writes"
    async with asyncio.timeout(HANG_SECONDS):
        while not (old := (await listed(api))["items"][1])["histories"]:  # Temporal lists it a moment later
            await asyncio.sleep(0.05)
    assert old["state"] == "reads"
    refused = await api.http.delete(f"/payload-keys/{first['id']}")
    assert refused.status_code == 409
    assert "histories in Temporal began before" in refused.json()["detail"]
    monkeypatch.setattr(payload_key, "_OURS", "'none-of-ours'")  # as after the retention of all
    assert (await api.http.delete(f"/payload-keys/{first['id']}")).status_code == 204
    assert [key["id"] for key in (await listed(api))["items"]] == [made.json()["id"]]
    kinds = [event["kind"] for event in (await api.http.get("/events")).json()["items"]]
    assert {"payload_key.made", "payload_key.dropped"} <= set(kinds)
    assert run["id"]


async def test_a_lost_key_is_told_until_it_is_given_up(api: ApiUnderTest) -> None:
    log, lost = SqlPayloadTroubleLog(api.database), "20200101-0badcafe"
    trouble = PayloadTrouble("run/1", lost, f"payload key {lost} is not in payloads.key; restore it", True)
    await log.write("control_worker", [trouble, replace(trouble, subject="run/2")], [])
    await log.write("control_worker", [trouble], [])
    parts = (await api.anonymous.get("/readyz")).json()["parts"]
    assert parts["payloads"].startswith(f"2 workflows can't go on: payload key {lost} is not in payloads.key")
    found = (await listed(api))["troubles"]
    assert sorted((row["reader"], row["subject"], row["key_id"]) for row in found) == [
        ("control_worker", "run/1", lost),
        ("control_worker", "run/2", lost),
    ]
    given_up = await api.http.post(f"/payload-keys/{lost}/give-up")
    assert given_up.status_code == 200, given_up.text
    assert (given_up.json()["state"], given_up.json()["given_up_by"]) == ("given_up", "key:admin")
    assert (await api.anonymous.get("/readyz")).json()["parts"]["payloads"] == "ok"
    assert (await listed(api))["troubles"] == []


async def test_a_trouble_is_over_when_the_key_is_back(api: ApiUnderTest) -> None:
    log, first = SqlPayloadTroubleLog(api.database), api.seals.keys.ring.keys[0].id
    await log.write("gateway", [PayloadTrouble("run/1", first, "it is not there", True)], [])
    assert (await listed(api))["troubles"] == [], "the api has it"
    await log.write("gateway", [PayloadTrouble("run/1", first, "it was altered")], [])
    assert len((await listed(api))["troubles"]) == 1
    await log.write("gateway", [], [("run/1", first)])
    assert (await listed(api))["troubles"] == []


async def test_the_writer_is_replaced_when_it_is_given_up(api: ApiUnderTest) -> None:
    (first,) = (await listed(api))["items"]
    sealed = api.seals.sealed(WORDS)
    await api.http.post(f"/payload-keys/{first['id']}/give-up")
    assert [key["state"] for key in (await listed(api))["items"]] == ["writes", "given_up"]
    assert first["id"] in api.seals.keys.path.read_text(), "a note stays"
    assert await decoded(api, sealed) == MessageToDict(sealed), "and nobody reads it again"


async def decoded(api: ApiUnderTest, payload: Payload, key: str = ADMIN_KEY) -> Any:
    answer = await api.anonymous.post(
        "/api/v1/payload-codec/decode?preserveStorageRefs=true",
        json={"payloads": [MessageToDict(payload)]},
        headers={"Authorization": f"Bearer {key}", "X-Namespace": "default"},
    )
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["payloads"]
    return found


async def test_temporals_ui_is_shown_payloads_in_clear(api: ApiUnderTest) -> None:
    for payload in (api.seals.sealed(WORDS), api.seals.sealed(WORDS, "edge-1"), WORDS):
        assert await decoded(api, payload) == MessageToDict(WORDS)
    large = Payload(metadata={"encoding": b"json/plain"}, data=base64.b64encode(b"x" * 500_000))
    assert await decoded(api, api.seals.sealed(large)) == MessageToDict(large)
    spoiled = api.seals.sealed(WORDS)
    spoiled.data = spoiled.data[:-1]
    assert await decoded(api, spoiled) == MessageToDict(spoiled)
    assert not api.seals.troubles.take()[0], "who looks makes no trouble"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"payloads": [{"data": "a"}]}, 422),
        ({"payloads": [{"metadata": {"encoding": "a"}}]}, 422),
        ({"payloads": [{"metadata": {"encoding": 5}}]}, 422),
        ({"payloads": [{}] * 1001}, 422),
        ({"payloads": "all"}, 422),
        ({"payloads": [{"data": "", "externalPayloads": [{}]}]}, 200),
        ({"payloads": []}, 200),
    ],
)
async def test_odd_bodies(api: ApiUnderTest, body: dict[str, Any], status: int) -> None:
    assert (await api.http.post("/payload-codec/decode", json=body)).status_code == status


@pytest.mark.parametrize("role", ["viewer", "operator", "developer"])
async def test_an_admin_alone_decodes(api: ApiUnderTest, role: str) -> None:
    made = (await api.http.post("/keys", json={"name": f"a-{role}", "role": role})).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    body = {"payloads": [MessageToDict(api.seals.sealed(WORDS))]}
    answer = await api.anonymous.post("/api/v1/payload-codec/decode", json=body, headers=headers)
    assert answer.status_code == 403
    assert (await api.anonymous.post("/api/v1/payload-codec/decode", json=body)).status_code == 401


@pytest.fixture
async def page(api: ApiUnderTest) -> httpx.AsyncClient:
    """A browser's requests, to an api that knows the UI's origin."""
    app = create_app(api.process.services, [ORIGIN])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1")


async def preflight(page: httpx.AsyncClient, origin: str, path: str = "/payload-codec/decode") -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-namespace",
    }
    return await page.options(path, headers=headers)


async def test_browsers_let_the_ui_alone_ask(page: httpx.AsyncClient) -> None:
    allowed = await preflight(page, ORIGIN)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert allowed.headers["access-control-allow-credentials"] == "true"
    for origin in ("http://127.0.0.1:9999", "https://127.0.0.1:8233", "null", f"{ORIGIN}.example.com"):
        refused = await preflight(page, origin)
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers
    assert "access-control-allow-origin" not in (await preflight(page, ORIGIN, "/keys")).headers


async def test_the_ui_comes_by_an_admins_session(page: httpx.AsyncClient, api: ApiUnderTest) -> None:
    body, headers = {"payloads": [MessageToDict(api.seals.sealed(WORDS))]}, {"Origin": ORIGIN}
    for name, role, status in (("mia", "admin", 200), ("ole", "operator", 403)):
        await make_user(api, name, role)
        signed_in = await page.post("/sign-in", json={"name": name, "password": PASSWORD})
        assert signed_in.status_code == 200, signed_in.text
        assert (await page.post("/payload-codec/decode", json=body, headers=headers)).status_code == status
        elsewhere = {"Origin": "https://evil.example"}
        assert (await page.post("/payload-codec/decode", json=body, headers=elsewhere)).status_code == 403
        assert (await page.post("/nodes", json={"id": "n-1"}, headers=headers)).status_code == 403, "nothing else"
        page.cookies.clear()


async def test_a_refusal_is_told_to_the_page(page: httpx.AsyncClient, api: ApiUnderTest) -> None:
    answer = await page.post("/payload-codec/decode", json={"payloads": []}, headers={"Origin": ORIGIN})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    elsewhere = await api.anonymous.post(
        "/api/v1/payload-codec/decode", json={"payloads": []}, headers={"Origin": ORIGIN}
    )
    assert "access-control-allow-origin" not in elsewhere.headers, "an api that knows no UI lets no page ask"
