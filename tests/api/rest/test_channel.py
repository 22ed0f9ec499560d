"""Channels over REST, and messages on their whole way: outbox, workflow, sender, log."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlmodel import select

from gamekeeper.db.models import ChannelRow, EventRow
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.receiver import Receiver, receiving
from tests.hang import HANG_SECONDS

URL = "https://hooks.example.org/T0/s3cret?token=s3cret"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def ended(api: ApiUnderTest, channel: str, delivery: str) -> dict[str, Any]:
    """The delivery, once it was tried."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            items = (await api.http.get(f"/channels/{channel}/deliveries")).json()["items"]
            found = next(item for item in items if item["id"] == delivery)
            if found["attempts"]:
                return dict(found)
            await asyncio.sleep(0.05)


async def test_an_address_goes_in_and_never_comes_out(api: ApiUnderTest) -> None:
    made = await api.http.put("/channels/ops", json={"type": "webhook", "url": URL})
    assert made.status_code == 201
    assert made.json()["address"] == "https://hooks.example.org/..."
    assert made.json()["key"].startswith("whsec_")
    assert made.headers["cache-control"] == "no-store"
    texts = [(await api.http.get(path)).text for path in ("/channels", "/channels/ops", "/events")]
    again = await api.http.put("/channels/ops", json={"type": "webhook", "severity": "critical"})
    assert (again.status_code, again.json()["key"], again.json()["address"]) == (200, "", made.json()["address"])
    async with api.database.read() as session:
        rows = [
            row.model_dump_json(exclude={"data", "wrapped_key"})
            for row in (await session.exec(select(ChannelRow))).all()
        ]
        rows += [row.model_dump_json() for row in (await session.exec(select(EventRow))).all()]
        kept = (await session.exec(select(ChannelRow))).one()
    assert not [text for text in [*texts, *rows] if "s3cret" in text or made.json()["key"] in text]
    assert b"s3cret" not in kept.data
    new = await api.http.put("/channels/ops", json={"type": "webhook", "new_key": True})
    assert new.json()["key"] not in ("", made.json()["key"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"type": "webhook"}, 'needs "url"'),
        ({"type": "webhook", "url": "ftp://s3cret"}, 'no "ftp" address'),
        ({"type": "webhook", "url": "https://user:s3cret@host/"}, "not sent"),
        ({"type": "webhook", "url": "https://s3cret:99999/"}, "url"),
        ({"type": "webhook", "url": "https:///s3cret"}, "names no host"),
        ({"type": "apprise", "url": "json://s3cret.lan"}, 'no "json" address'),
        ({"type": "apprise", "url": "file:///s3cret"}, 'no "file" address'),
        ({"type": "apprise", "url": "bark://s3cret.lan/key"}, 'no "bark" address'),
        ({"type": "apprise", "url": "ntfys://s3cret.example/t?attach=/etc/passwd"}, "has an option"),
        ({"type": "mail", "url": "smtps://s3cret.lan"}, "needs `to`"),
        ({"type": "webhook", "url": URL, "template": "$titel"}, "character 1"),
        ({"type": "webhook", "url": URL, "on": {"kind": "server", "ids": ["a"]}}, "one server"),
        ({"type": "webhook", "url": URL, "after": "soon"}, "duration"),
        ({"type": "webhook", "url": 5}, "url"),
    ],
)
async def test_what_makes_no_sense_is_refused_without_its_secret(
    api: ApiUnderTest, body: dict[str, Any], words: str
) -> None:
    answer = await api.http.put("/channels/ops", json=body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert "s3cret" not in answer.text
    assert (await api.http.get("/channels/ops")).status_code == 404


async def test_a_test_message_goes_the_way_of_all(api: ApiUnderTest, receiver: Receiver) -> None:
    await api.start_control_worker()
    made = (await api.http.put("/channels/ops", json={"type": "webhook", "url": receiver.url})).json()
    test = await api.http.post("/channels/ops/test")
    assert (test.status_code, test.json()["state"]) == (202, "waiting")
    delivery = await ended(api, "ops", test.json()["id"])
    assert (delivery["state"], delivery["tries"][0]["outcome"]) == ("sent", "HTTP 204")
    (request,) = receiver.requests
    assert request.headers["gamekeeper-delivery"] == delivery["id"]
    stamp = request.headers["gamekeeper-timestamp"]
    expected = hmac.new(made["key"].encode(), f"{stamp}.".encode() + request.body, hashlib.sha256).hexdigest()
    assert request.headers["gamekeeper-signature"] == f"v1={expected}"
    assert json.loads(request.body)["kind"] == "test"


async def test_a_failed_run_reaches_its_reader_with_links(api: ApiUnderTest, receiver: Receiver) -> None:
    await api.start_control_worker()
    await api.add_node()
    await api.http.put("/channels/ops", json={"type": "webhook", "url": receiver.url})
    spec = {"version": 1, "name": "bad", "steps": [{"name": "a", "type": "approval", "approval": {"message": "ok?"}}]}
    run = (await api.http.post("/runs", json={"spec": spec})).json()
    assert "id" in run, run
    async with asyncio.timeout(HANG_SECONDS):
        while (await api.http.get(f"/runs/{run['id']}")).json()["steps"][0]["state"] != "running":
            await asyncio.sleep(0.05)
        answer = await api.http.post(f"/runs/{run['id']}/steps/a/approval", json={"approved": False})
        assert answer.is_success, answer.text
        while not receiver.requests:
            await asyncio.sleep(0.05)
    message = json.loads(receiver.requests[0].body)
    assert message["alarms"][0]["object"] == "bad"
    assert message["title"] == "Run failed: pipeline bad"
    link = message["links"]["acknowledge"]
    assert link.startswith("http://games.test/api/v1/alarm-links/")
    assert (await api.anonymous.post(link.removeprefix("http://games.test"))).status_code == 200
    (alarm,) = (await api.http.get("/alarms")).json()["items"]
    assert alarm["acknowledged_by"] == "link:ops"


async def test_a_receiver_that_leads_inwards_is_given_up_and_told(api: ApiUnderTest, receiver: Receiver) -> None:
    receiver.answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    await api.start_control_worker()
    await api.http.put("/channels/ops", json={"type": "webhook", "url": receiver.url})
    test = (await api.http.post("/channels/ops/test")).json()
    async with asyncio.timeout(HANG_SECONDS):
        while (delivery := await ended(api, "ops", test["id"]))["state"] != "failed":
            await asyncio.sleep(0.05)
    assert "redirect" in delivery["last_error"]
    assert len(receiver.requests) == 1
    events = (await api.http.get("/events", params={"kind": "alarm_channel.failed"})).json()["items"]
    assert len(events) == 1


async def test_a_receiver_that_fails_gets_the_same_message_again(api: ApiUnderTest, receiver: Receiver) -> None:
    receiver.answers = [b"HTTP/1.1 500 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
    await api.start_control_worker()
    await api.http.put("/channels/ops", json={"type": "webhook", "url": receiver.url})
    test = (await api.http.post("/channels/ops/test")).json()
    async with asyncio.timeout(HANG_SECONDS):
        while (delivery := await ended(api, "ops", test["id"]))["state"] != "sent":
            await asyncio.sleep(0.05)
    assert [item["outcome"] for item in delivery["tries"]] == ["HTTP 500", "HTTP 204"]
    first, second = receiver.requests
    assert first.headers["gamekeeper-delivery"] == second.headers["gamekeeper-delivery"]
    assert first.body == second.body


async def test_a_channel_is_removed_with_its_log(api: ApiUnderTest) -> None:
    await api.http.put("/channels/ops", json={"type": "webhook", "url": URL})
    await api.http.post("/channels/ops/test")
    assert (await api.http.delete("/channels/ops", headers={"If-Match": '"7"'})).status_code == 412
    assert (await api.http.delete("/channels/ops")).status_code == 204
    assert (await api.http.get("/channels/ops/deliveries")).status_code == 404
    assert (await api.http.post("/channels/ops/test")).status_code == 404
