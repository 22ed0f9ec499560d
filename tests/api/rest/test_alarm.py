"""Alarms over REST: seen by whoever sees their object, answered by whoever has power over it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gamekeeper.db.models import AlarmRow, InstanceRow, WindowRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.domain.alarm.link import AlarmLink, LinkPurpose, link_key, make_token
from gamekeeper.temporal.proofs import WorkKey
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.guests import a_guest


async def add_alarm(api: ApiUnderTest, id_: str, **fields: Any) -> None:
    row: dict[str, Any] = {"rule": "node-offline", "name": "Node offline", "severity": "critical", "state": "open"}
    row |= {"kind": "node", "object_id": "node-1", "node": "node-1", "raised_at": utc_now(), "live_key": f"key-{id_}"}
    async with api.database.write() as session:
        session.add(AlarmRow(id=id_, **row | fields))


async def ids(api: ApiUnderTest, **query: str) -> list[str]:
    answer = await api.http.get("/alarms", params=query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_alarms_are_listed_by_what_is_wrong_where(api: ApiUnderTest) -> None:
    await add_alarm(api, "a1")
    await add_alarm(api, "a2", severity="warning", rule="node-condition", muted="silence x")
    await add_alarm(api, "a3", kind="instance", object_id="arena", parent="a1", state="no_data")
    await add_alarm(api, "a4", state="pending", raised_at=None)
    await add_alarm(api, "a5", state="closed", live_key=None, closed_at=utc_now(), closed_reason="cleared")
    assert set(await ids(api)) == {"a1", "a2", "a3"}
    assert await ids(api, state="pending") == ["a4"]
    assert await ids(api, state="closed") == ["a5"]
    assert len(await ids(api, state="all")) == 5
    assert await ids(api, severity="warning") == ["a2"]
    assert await ids(api, instance="arena") == ["a3"]
    assert await ids(api, parent="a1") == ["a3"]
    answer = (await api.http.get("/alarms")).json()
    assert answer["counts"] == {"critical": 1, "warning": 0, "muted": 1}
    assert {item["id"]: item["children"] for item in answer["items"]} == {"a1": 1, "a2": 0, "a3": 0}
    shown = (await api.http.get("/alarms/a1")).json()
    assert [child["object_id"] for child in shown["affected"]] == ["arena"]


async def test_pages_neither_skip_nor_repeat(api: ApiUnderTest) -> None:
    at = utc_now()
    for number in range(7):
        await add_alarm(api, f"a{number}", created_at=at - timedelta(seconds=number // 3))
    found, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.http.get("/alarms", params=query)).json()
        found += [item["id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == ["a2", "a1", "a0", "a5", "a4", "a3", "a6"]


async def test_the_first_who_takes_an_alarm_on_stands(api: ApiUnderTest) -> None:
    await add_alarm(api, "a1")
    first = await api.http.post("/alarms/a1/acknowledge", json={"note": "mine"})
    assert (first.status_code, first.json()["acknowledge_note"]) == (200, "mine")
    second = await api.http.post("/alarms/a1/acknowledge", json={"note": "no, mine"})
    assert second.json()["acknowledge_note"] == "mine"
    kinds = [event["kind"] for event in (await api.http.get("/events", params={"kind": "alarm"})).json()["items"]]
    assert kinds == ["alarm.acknowledged"]


async def test_a_stale_alarm_is_closed_and_then_it_is_over(api: ApiUnderTest) -> None:
    await add_alarm(api, "a1")
    closed = (await api.http.post("/alarms/a1/close", json={"reason": "old"})).json()
    assert (closed["state"], closed["closed_reason"], closed["closed_by"]) == ("closed", "closed", "key:admin")
    assert (await api.http.post("/alarms/a1/close")).status_code == 200
    assert (await api.http.post("/alarms/a1/acknowledge")).status_code == 409
    assert (await api.http.post("/alarms/a1/silence", json={"for": "1h"})).status_code == 409


async def test_an_alarm_is_silenced_by_its_rule_on_its_object(api: ApiUnderTest) -> None:
    await add_alarm(api, "a1", kind="run", object_id="r1", pipeline="nightly", run="r1", rule="run-waiting")
    made = await api.http.post("/alarms/a1/silence", json={"for": "4h", "reason": "known"})
    assert made.status_code == 201
    (silence,) = (await api.http.get("/silences")).json()["items"]
    assert silence["on"] == {"kind": "pipeline", "ids": ["nightly"], "labels": {}}
    assert silence["rules"] == ["run-waiting"]
    assert (await api.http.delete(f"/silences/{silence['id']}")).status_code == 204
    assert (await api.http.get("/silences")).json()["items"] == []


async def test_a_second_silence_of_an_alarm_lengthens_the_first(
    api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.services.alarm.silence.MAX_SILENCES", 1)
    await add_alarm(api, "a1")
    await add_alarm(api, "a2", object_id="node-2")
    first = (await api.http.post("/alarms/a1/silence", json={"for": "1h", "reason": "known"})).json()
    second = (await api.http.post("/alarms/a1/silence", json={"for": "4h"})).json()
    third = (await api.http.post("/alarms/a1/silence", json={"for": "1h"})).json()
    assert first["id"] == second["id"] == third["id"]
    assert first["until"] < second["until"] == third["until"]
    assert third["reason"] == "known"
    assert (await api.http.post("/alarms/a2/silence", json={"for": "1h"})).status_code == 409


@pytest.mark.parametrize("lifetime", ["0s", "91d", "long", 5])
async def test_each_silence_has_an_end(api: ApiUnderTest, lifetime: object) -> None:
    answer = await api.http.post("/silences", json={"for": lifetime})
    assert answer.status_code == 422
    assert (await api.http.post("/silences", json={"reason": "for ever"})).status_code == 422


async def test_a_guest_sees_the_alarms_of_what_it_sees(api: ApiUnderTest) -> None:
    await api.add_node("node-1", labels={"team": "red"})
    await api.add_node("node-2", labels={"team": "blue"})
    async with api.database.write() as session:
        session.add(InstanceRow(id="arena", node_id="node-1", labels={"team": "blue"}, started_workflow=True))
    await add_alarm(api, "a1")
    await add_alarm(api, "a2", object_id="node-2", node="node-2")
    await add_alarm(api, "a3", kind="instance", object_id="arena", parent="a1", state="no_data", detail="node")
    await add_alarm(api, "a4", kind="server", object_id="", node="")
    await add_alarm(api, "a5", kind="pipeline", object_id="nightly", pipeline="nightly", node="")
    guest = await a_guest(api)
    assert (await guest.get("/alarms")).status_code == 403
    assert (await guest.get("/alarms/a1")).status_code == 404
    await guest.may("see", labels={"team": "blue"})
    assert sorted(await guest.ids("/alarms")) == ["a2", "a3"]
    assert (await guest.get("/alarms")).json()["counts"] == {"critical": 1, "warning": 0, "muted": 0}
    for hidden in ("a1", "a4", "a5", "nobody"):
        assert (await guest.get(f"/alarms/{hidden}")).status_code == 404, hidden
    assert (await guest.get("/alarms/a3")).status_code == 200
    refused = await guest.http.post("/alarms/a3/acknowledge")
    assert refused.status_code == 403
    assert 'lacks the verb "power" on instance "arena"' in refused.json()["detail"]
    await guest.may("power", kind="instance", ids=["arena"])
    assert (await guest.http.post("/alarms/a3/acknowledge")).status_code == 200
    assert (await guest.http.post("/alarms/a2/acknowledge")).status_code == 403


async def test_rules_are_data_that_can_be_changed_and_taken_back(api: ApiUnderTest) -> None:
    rules = (await api.http.get("/alarm-rules")).json()["items"]
    assert {rule["id"] for rule in rules} >= {"node-offline", "run-failed"}
    assert all(rule["is_default"] and not rule["is_changed"] for rule in rules)
    quiet = {"when": "node.status == offline", "for": "5m", "on": {"kind": "node", "labels": {"pool": "eu"}}}
    changed = await api.http.put("/alarm-rules/node-offline", json=quiet, headers={"If-Match": '"0"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"1"')
    assert changed.json()["rule"]["for"] == "5m"
    stale = await api.http.put("/alarm-rules/node-offline", json=quiet, headers={"If-Match": '"0"'})
    assert stale.status_code == 412
    assert (await api.http.put("/alarm-rules/mine", json=quiet)).status_code == 201
    assert (await api.http.delete("/alarm-rules/node-offline")).status_code == 204
    assert (await api.http.get("/alarm-rules/node-offline")).json()["is_changed"] is False
    refused = await api.http.delete("/alarm-rules/node-offline")
    assert refused.status_code == 409
    assert "enabled: false" in refused.json()["hint"]
    assert (await api.http.get("/alarm-rules/nowhere")).status_code == 404


async def test_a_rule_that_cant_be_read_is_refused_with_its_place(api: ApiUnderTest) -> None:
    body = {"when": "node.status == ofline", "events": ["run.fails"]}
    answer = await api.http.put("/alarm-rules/mine", json=body)
    assert answer.status_code == 422
    found = {problem["path"]: problem for problem in answer.json()["problems"]}
    assert found.keys() == {"when", "events[0]"}
    columns = [problem["column"] for problem in answer.json()["problems"]]
    assert 16 in columns
    assert any('did you mean "offline"?' in problem["message"] for problem in answer.json()["problems"])


async def test_windows_come_again(api: ApiUnderTest) -> None:
    body = {"on": {"kind": "node"}, "cron": "* * * * *", "duration": "2m", "timezone": "Europe/Berlin"}
    made = await api.http.put("/windows/always", json=body)
    assert made.status_code == 201
    assert made.json()["open_until"] is not None
    assert (await api.http.put("/windows/always", json=body)).json()["version"] == 2
    for wrong in ({"cron": "61 * * * *"}, {"timezone": "Moon"}, {"duration": "8d"}, {"on": {"ids": ["a"]}}):
        assert (await api.http.put("/windows/w", json=body | wrong)).status_code == 422, wrong
    assert (await api.http.delete("/windows/always")).status_code == 204
    assert (await api.http.get("/windows")).json()["items"] == []


async def test_the_windows_of_our_own_work_are_seen_and_left(api: ApiUnderTest) -> None:
    async with api.database.write() as session:
        until = utc_now() + timedelta(hours=1)
        session.add(WindowRow(name="drain:n1", source="drain", on={"kind": "node", "ids": ["n1"]}, until=until))
    assert (await api.http.get("/windows/drain:n1")).json()["source"] == "drain"
    body = {"cron": "* * * * *", "duration": "2m"}
    assert (await api.http.put("/windows/drain:n1", json=body)).status_code == 422
    assert (await api.http.delete("/windows/drain:n1")).status_code == 409


def token(api: ApiUnderTest, alarm: str, purpose: LinkPurpose, lifetime: float = 60) -> str:
    key = link_key(WorkKey(api.folder / "ca" / "steps" / "work.key").read())
    return make_token(key, AlarmLink(alarm, purpose, "hook", utc_now() + timedelta(seconds=lifetime)))


async def test_a_link_shows_at_first_and_acts_at_a_post_alone(api: ApiUnderTest) -> None:
    await add_alarm(api, "a1", summary="<script>alert(1)</script>")
    path = f"/api/v1/alarm-links/{token(api, 'a1', LinkPurpose.ACKNOWLEDGE)}"
    page = await api.anonymous.get(path, headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "<script>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (await api.anonymous.get(path)).json()["is_done"] is False
    assert (await api.http.get("/alarms/a1")).json()["acknowledged_at"] is None
    assert (await api.anonymous.post(path)).json()["is_done"] is True
    alarm = (await api.http.get("/alarms/a1")).json()
    assert alarm["acknowledged_by"] == "link:hook"


async def test_a_link_does_one_thing_for_a_while(api: ApiUnderTest) -> None:
    await add_alarm(api, "a1")
    silence = token(api, "a1", LinkPurpose.SILENCE)
    assert (await api.anonymous.post(f"/api/v1/alarm-links/{silence}")).status_code == 200
    (made,) = (await api.http.get("/silences")).json()["items"]
    assert (made["created_by"], made["rules"], made["on"]["ids"]) == ("link:hook", ["node-offline"], ["node-1"])
    assert (await api.http.get("/alarms/a1")).json()["acknowledged_at"] is None
    bad = [token(api, "a1", LinkPurpose.SILENCE, lifetime=-1), silence[:-2] + "AA", silence[2:], "x"]
    bad.append(make_token(b"another key", AlarmLink("a1", LinkPurpose.SILENCE, "hook", utc_now() + timedelta(days=1))))
    for wrong in bad:
        for method in ("GET", "POST"):
            answer = await api.anonymous.request(method, f"/api/v1/alarm-links/{wrong}")
            assert answer.status_code == 404, (method, wrong)
    assert len((await api.http.get("/silences")).json()["items"]) == 1
