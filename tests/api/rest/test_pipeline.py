"""Stored pipelines over REST."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.api import ApiUnderTest

TEXT = "name: {name}\ndescription: d\nsteps:\n  - {{name: a, container: {{image: '{image}'}}}}\n"


async def push(api: ApiUnderTest, image: str = "one", name: str = "arena") -> dict[str, Any]:
    answer = await api.http.post("/pipelines", json={"yaml": TEXT.format(name=name, image=image)})
    assert answer.status_code in (200, 201), answer.text
    return {"status": answer.status_code, **answer.json()}


async def test_versions_are_numbered_and_never_change(api: ApiUnderTest) -> None:
    first = await push(api)
    assert (first["status"], first["version"], first["created_by"]) == (201, 1, "key:admin")
    assert (await push(api))["status"] == 200
    assert (await push(api, "two"))["version"] == 2
    assert (await push(api, "one"))["version"] == 3
    items = (await api.http.get("/pipelines/arena/versions")).json()["items"]
    assert [item["version"] for item in items] == [3, 2, 1]
    assert "image: 'two'" in (await api.http.get("/pipelines/arena/versions/2")).json()["source"]
    assert (await api.http.get("/pipelines/arena")).json()["version"] == 3
    difference = await api.http.get("/pipelines/arena/diff", params={"from": 1, "to": 2})
    assert "-  - {name: a, container: {image: 'one'}}\n+  - {name: a, container: {image: 'two'}}\n" in difference.text
    events = (await api.http.get("/events", params={"kind": "pipeline"})).json()["items"]
    assert [event["message"] for event in events] == [f"arena version {number}" for number in (3, 2, 1)]


async def test_the_list_has_the_newest_of_each_in_pages(api: ApiUnderTest) -> None:
    for name in ("b", "a", "c"):
        await push(api, "one", name)
        await push(api, "two", name)
    page = (await api.http.get("/pipelines", params={"limit": 2})).json()
    assert [(item["name"], item["version"]) for item in page["items"]] == [("a", 2), ("b", 2)]
    rest = (await api.http.get("/pipelines", params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [item["name"] for item in rest["items"]] == ["c"]
    assert rest["next_cursor"] is None


async def test_a_deleted_pipeline_goes_on_counting(api: ApiUnderTest) -> None:
    await push(api)
    assert (await api.http.delete("/pipelines/arena")).status_code == 204
    assert (await api.http.get("/pipelines/arena")).status_code == 404
    assert (await api.http.get("/pipelines/arena/versions")).status_code == 404
    assert (await api.http.get("/pipelines")).json()["items"] == []
    assert (await api.http.delete("/pipelines/arena")).status_code == 404
    assert (await push(api))["version"] == 2


async def test_a_run_is_pinned_to_its_version(api: ApiUnderTest) -> None:
    await api.add_node()
    await push(api, "one")
    await push(api, "two")
    run = (await api.http.post("/runs", json={"pipeline": "arena", "node": "node-1"})).json()
    assert (run["pipeline"], run["pipeline_version"]) == ("arena", 2)
    run = (await api.http.post("/runs", json={"pipeline": "arena", "version": 1, "node": "node-1"})).json()
    assert run["pipeline_version"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"yaml": "name: x"}, 422),
        ({"yaml": "a", "spec": {}}, 422),
        ({}, 422),
        ({"spec": {"name": "x", "steps": [{"name": "a", "container": {"image": "b"}, "needs": ["c"]}]}}, 422),
        ({"spec": 7}, 422),
    ],
)
async def test_what_is_not_stored(refusing_api: ApiUnderTest, body: dict[str, Any], status: int) -> None:
    answer = await refusing_api.http.post("/pipelines", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ({"pipeline": "nothing"}, 404, 'there is no pipeline "nothing"'),
        ({"pipeline": "arena", "version": 9}, 404, 'pipeline "arena" version 9'),
        ({"pipeline": "arena", "yaml": "a"}, 422, "as one of"),
        ({"yaml": "a", "version": 1}, 422, '"version" is of a stored pipeline'),
        ({"pipeline": "arena", "version": 2**40}, 422, "version"),
    ],
)
async def test_runs_of_what_is_not_stored(api: ApiUnderTest, body: dict[str, Any], status: int, part: str) -> None:
    await push(api)
    answer = await api.http.post("/runs", json=body)
    assert answer.status_code == status
    assert part in answer.text.replace('\\"', '"')


async def test_warnings_stand_beside_problems_and_keep_nothing_from_starting(api: ApiUnderTest) -> None:
    await api.add_node()
    text = "version: 1\nname: lonely\nsteps:\n  - {name: db, type: service, container: {image: i}}\n"
    body = {"yaml": text, "node": "node-1"}
    answers = [
        await api.http.post("/pipelines/validate", json=body),
        await api.http.post("/pipelines", json={"yaml": text}),
        await api.http.post("/runs", json=body, params={"dry_run": True}),
        await api.http.post("/runs", json=body),
    ]
    assert [answer.status_code for answer in answers] == [200, 201, 200, 201]
    for answer in answers:
        (warning,) = answer.json()["warnings"]
        assert (warning["path"], warning["line"], warning["code"]) == ("steps[0].name", 4, "lifetime")
