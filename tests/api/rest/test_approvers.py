"""Answers to approvals with an `allow`, over REST: by roles, by grants, by names, and when these are gone."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gamekeeper.db.models import StepRow
from tests.api.rest.people import by, make_user, token_of
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.guests import a_guest


def asking(*allow: str, name: str = "deploy", **fields: Any) -> dict[str, Any]:
    step = {"name": "ask", "type": "approval", "approval": {"message": "go?", "allow": list(allow)}}
    return {"version": 1, "name": name, "steps": [step]} | fields


async def run_of(api: ApiUnderTest, *allow: str) -> dict[str, Any]:
    answer = await api.http.post("/runs", json={"spec": asking(*allow)})
    assert answer.status_code == 201, answer.text
    await api.until_step(answer.json()["id"], "ask", "running")
    return dict(answer.json())


async def answered(api: ApiUnderTest, run_id: str, token: str = "", approved: bool = True) -> httpx.Response:
    url, body = f"/api/v1/runs/{run_id}/steps/ask/approval", {"approved": approved}
    return await (api.anonymous.post(url, json=body, headers=by(token)) if token else api.http.post(url[7:], json=body))


@pytest.fixture
async def ready(api: ApiUnderTest) -> ApiUnderTest:
    await api.start_control_worker()
    return api


async def test_a_role_answers_and_others_hear_who_may(ready: ApiUnderTest) -> None:
    await make_user(ready, "opa", "operator")
    await make_user(ready, "dev", "developer")
    run = await run_of(ready, "developers")
    refused = await answered(ready, run["id"], await token_of(ready, "opa"))
    assert refused.status_code == 403
    message = 'the user "opa" (operator) may not answer step "ask": its "allow" names developer'
    assert refused.json()["detail"] == message
    assert (await answered(ready, run["id"], await token_of(ready, "dev"))).status_code == 200
    ended = await ready.until_run(run["id"], "succeeded")
    assert ended["steps"][0]["outputs"]["by"] == "user:dev"


async def test_a_user_answers_with_its_keys_too_and_no_admin_in_its_place(ready: ApiUnderTest) -> None:
    mia = await make_user(ready, "mia", "operator")
    run = await run_of(ready, "user:Mia")
    shown = (await ready.http.get(f"/runs/{run['id']}")).json()["steps"][0]
    assert (shown["allow"], shown["waiting"].partition(" until ")[0]) == (["user:Mia"], "for an approval by user:Mia")
    assert (await answered(ready, run["id"])).status_code == 403
    made = await ready.http.post("/keys", json={"name": "laptop", "role": "operator", "user": mia["id"]})
    assert made.status_code == 201, made.text
    assert (await answered(ready, run["id"], made.json()["key"], approved=False)).status_code == 200
    ended = await ready.until_run(run["id"], "failed")
    assert (ended["steps"][0]["reason"], ended["steps"][0]["outputs"]["by"]) == ("rejected", "user:mia")


async def test_a_key_by_its_name(ready: ApiUnderTest) -> None:
    made = await ready.http.post("/keys", json={"name": "ci", "role": "operator"})
    run = await run_of(ready, "key:ci")
    assert (await answered(ready, run["id"])).status_code == 403
    assert (await answered(ready, run["id"], made.json()["key"])).status_code == 200


async def test_the_verb_is_needed_besides(ready: ApiUnderTest) -> None:
    await make_user(ready, "opa", "operator")
    await make_user(ready, "vic", "viewer")
    run = await run_of(ready, "operators", "user:vic")
    refused = await answered(ready, run["id"], await token_of(ready, "vic"))
    assert (refused.status_code, 'lacks the verb "approve"' in refused.json()["detail"]) == (403, True)
    guest = await a_guest(ready)
    await guest.may("operator", kind="pipeline", ids=["deploy"])
    assert (await answered(ready, run["id"], guest.secret)).status_code == 200


async def test_one_who_got_the_name_of_another_is_not_meant(ready: ApiUnderTest) -> None:
    mia = await make_user(ready, "mia", "operator")
    bob = await make_user(ready, "bob", "operator")
    run = await run_of(ready, "user:mia", "user:bob")
    assert (await ready.http.delete(f"/users/{mia['id']}")).status_code == 204
    await make_user(ready, "mia", "admin")
    assert (await answered(ready, run["id"], await token_of(ready, "mia"))).status_code == 403
    step = (await ready.http.get(f"/runs/{run['id']}")).json()["steps"][0]
    assert "any more" not in step["waiting"]
    assert (await ready.http.patch(f"/users/{bob['id']}", json={"role": "viewer"})).status_code == 200
    step = (await ready.http.get(f"/runs/{run['id']}")).json()["steps"][0]
    assert "by user:mia or user:bob, none of whom may approve any more" in step["waiting"]
    assert (await ready.http.post(f"/runs/{run['id']}/cancel")).status_code == 202
    await ready.until_run(run["id"], "canceled")


async def test_names_that_are_nobodys(ready: ApiUnderTest) -> None:
    await make_user(ready, "mia", "operator")
    await make_user(ready, "vic", "viewer")
    refused = await ready.http.post("/runs", json={"spec": asking("user:mai", "user:vic")})
    assert refused.status_code == 422
    problem = refused.json()["problems"][0]
    assert problem["path"] == "steps[0].approval.allow"
    assert problem["message"] == 'nobody could answer it: there is no user "mai"; the user "vic" may not approve'
    warned = await ready.http.post("/runs", json={"spec": asking("user:mai", "user:mia")})
    assert (warned.status_code, [each["message"] for each in warned.json()["warnings"]]) == (
        201,
        ['there is no user "mai"'],
    )
    await ready.http.post(f"/runs/{warned.json()['id']}/cancel")


async def test_a_guest_learns_no_names(ready: ApiUnderTest) -> None:
    await make_user(ready, "mia", "operator")
    guest = await a_guest(ready)
    await guest.may("developer", kind="pipeline", ids=["theirs"])
    answers = [
        await guest.http.post("/runs", json={"spec": asking(f"user:{name}", name="theirs")}) for name in ("mia", "mai")
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    shown = [(await guest.get(f"/runs/{answer.json()['id']}")).json()["steps"][0] for answer in answers]
    assert [answer.json()["warnings"] for answer in answers] == [[], []]
    assert [step["allow"] for step in shown] == [["user:mia"], ["user:mai"]]
    for answer in answers:
        await ready.http.post(f"/runs/{answer.json()['id']}/cancel")
        await ready.until_run(answer.json()["id"], "canceled")


async def test_a_guest_learns_no_names_by_a_stored_pipeline(ready: ApiUnderTest) -> None:
    await make_user(ready, "vic", "viewer")
    spec = asking("user:vic", name="theirs")
    stored = await ready.http.post("/pipelines", json={"spec": spec})
    assert stored.status_code == 201, stored.text
    guest = await a_guest(ready)
    await guest.may("run", "see", kind="pipeline", ids=["theirs"])
    made = await guest.http.post("/runs", json={"pipeline": "theirs"})
    assert (made.status_code, made.json().get("warnings")) == (201, []), made.text
    told = await ready.http.post("/runs", json={"pipeline": "theirs"})
    assert told.json()["problems"][0]["message"] == 'nobody could answer it: the user "vic" may not approve'
    await ready.http.post(f"/runs/{made.json()['id']}/cancel")
    await ready.until_run(made.json()["id"], "canceled")


async def test_a_step_of_before_names_nobody(ready: ApiUnderTest) -> None:
    run = await run_of(ready)
    async with ready.database.read() as session:
        row = await session.get_one(StepRow, (run["id"], "ask"))
    assert row.approvers == {}
    assert (await answered(ready, run["id"])).status_code == 200
