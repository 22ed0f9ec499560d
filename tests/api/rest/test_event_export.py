"""The operation log as a file, and what it says of whoever acted: name, id and address, before and after."""

from __future__ import annotations

import csv
import io
import json

import pytest

from api.services import event as event_service
from tests.fixtures.api import ApiUnderTest


async def test_an_actor_is_told_by_name_by_id_and_by_address(api: ApiUnderTest) -> None:
    await api.add_node("a")
    own = (await api.http.get("/whoami")).json()["key"]["id"]
    made = (await api.http.get("/events?kind=node.created")).json()["items"][0]
    assert (made["actor"], made["actor_id"]) == ("key:admin", own)
    assert made["address"] != ""


async def test_the_events_of_one_actor_alone(api: ApiUnderTest) -> None:
    other = (await api.http.post("/keys", json={"name": "other"})).json()["key"]
    await api.add_node("a")
    made = await api.anonymous.post("/api/v1/nodes", json={"id": "b"}, headers={"Authorization": f"Bearer {other}"})
    assert made.status_code == 201
    for path in ("/events", "/events/export"):
        answer = await api.http.get(path, params={"actor": "key:other"})
        lines = answer.json()["items"] if path == "/events" else [json.loads(line) for line in answer.text.splitlines()]
        assert [(event["kind"], event["node"]) for event in lines] == [("node.created", "b")]


async def test_the_whole_log_in_batches_oldest_first(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_service, "BATCH", 3)
    for number in range(7):
        await api.add_node(f"n{number}")
    listed = (await api.http.get("/events?limit=500")).json()["items"]
    answer = await api.http.get("/events/export")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line) for line in answer.text.splitlines()] == listed[::-1]
    some = await api.http.get("/events/export", params={"kind": "node", "until": listed[0]["at"]})
    assert all(json.loads(line)["at"] < listed[0]["at"] for line in some.text.splitlines())


async def test_csv_holds_the_same_and_no_formula(api: ApiUnderTest) -> None:
    await api.add_node("a")
    await api.http.patch("/nodes/a", json={"description": '=HYPERLINK("http://x")', "location": "a\nb"})
    answer = await api.http.get("/events/export", params={"format": "csv", "node": "a"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["kind"] for row in rows] == ["node.created", "node.edited"]
    assert json.loads(rows[1]["data"])["location"] == ["", "a\nb"]
    key = await api.http.post("/keys", json={"name": "other"})
    assert key.status_code == 201
    await api.http.post("/nodes/a/drain", json={"reason": "+1"})
    cells = list(csv.reader(io.StringIO((await api.http.get("/events/export", params={"format": "csv"})).text)))
    assert not [cell for row in cells for cell in row if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("query", ["format=xml", "kind=nodes", "since=2026-11-01T00:00:00", "colour=red"])
async def test_a_wrong_question_is_refused(api: ApiUnderTest, query: str) -> None:
    assert (await api.http.get(f"/events/export?{query}")).status_code == 422


async def test_an_export_needs_to_see_the_server(api: ApiUnderTest) -> None:
    assert (await api.anonymous.get("/api/v1/events/export")).status_code == 401
