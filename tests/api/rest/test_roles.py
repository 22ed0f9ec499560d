"""Keys of every role at every route: what the routes say that they need is walked, and what they do is compared."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI

from api.dependencies import require_caller
from api.needs import Judged, Needs, needs, needs_of_routes
from gamekeeper.db.repositories.key import KeyRepository
from gamekeeper.domain.access.role import Role, verbs_of
from gamekeeper.domain.access.verb import ObjectKind, Verb
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.websocket import websocket

STEP = {"name": "hello", "node": "node-1", "container": {"image": "debian:12"}}
HELLO = {"version": 1, "name": "hello", "steps": [STEP]}


COMMAND = [("command", "true")]


async def key_of(api: ApiUnderTest, role: str) -> str:
    answer = await api.http.post("/keys", json={"name": f"of-{role}", "role": role})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def of(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def walked(api: ApiUnderTest) -> list[tuple[str, str, Needs]]:
    """Every (method, path, needs), with the parameters of the path filled in."""
    found = needs_of_routes(api.process.app)
    return [(method, re.sub(r"\{[^}]+\}", "nobody", path), need) for method, path, need in found]


async def is_forbidden(api: ApiUnderTest, method: str, path: str, secret: str) -> bool:
    if method == "WS":
        async with websocket(api.process.app, path, COMMAND if path.endswith("/exec") else [], secret) as socket:
            closed = await socket.receive()
        assert isinstance(closed, tuple)
        assert closed[0] != 4401
        return closed[0] == 4403
    answer = await api.anonymous.request(method, path, headers=of(secret))
    assert answer.status_code != 401
    if answer.status_code == 403 and answer.json()["code"] == "session_needed":
        return False  # by its kind, whatever its role
    if answer.status_code == 403:
        assert answer.json()["code"] == "forbidden"
        assert answer.json()["hint"].startswith("use a key of one of these roles: ")
    return answer.status_code == 403


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_opens_just_what_its_verbs_open(api: ApiUnderTest, role: Role) -> None:
    secret = await key_of(api, role)
    needs = walked(api)
    assert {method for method, _, _ in needs} == {"GET", "POST", "PUT", "PATCH", "DELETE", "WS"}
    for method, path, need in needs:
        may = need.verb is None or need.verb in verbs_of(role)
        # To a guest, who was given nothing, no object is there; what is nobody's is forbidden.
        is_hidden = (
            role is Role.GUEST and need.judged in (Judged.OBJECT, Judged.ALARM) and need.on is not ObjectKind.SERVER
        )
        assert await is_forbidden(api, method, path, secret) is not (may or is_hidden), (method, path)


async def test_a_pipeline_that_is_not_stored_needs_more_than_one_that_is(api: ApiUnderTest) -> None:
    await api.add_node()
    assert (await api.http.post("/pipelines", json={"spec": HELLO})).status_code == 201
    headers = of(await key_of(api, Role.OPERATOR))
    refused = await api.anonymous.post("/api/v1/runs", json={"spec": HELLO}, headers=headers)
    assert refused.status_code == 403
    assert refused.json()["detail"] == 'the API key "of-operator" (operator) lacks the verb "edit" on pipeline "hello"'
    assert ": developer, admin; or run one that is stored: gamekeeper run NAME; " in refused.json()["hint"]
    onlooker = await api.anonymous.post(
        "/api/v1/runs", json={"spec": HELLO}, headers=of(await key_of(api, Role.VIEWER))
    )
    assert '; a pipeline that is not stored needs the verb "edit" as well; ' in onlooker.json()["hint"]
    started = await api.anonymous.post("/api/v1/runs", json={"pipeline": "hello"}, headers=headers)
    assert started.status_code == 201, started.text


async def test_a_key_gives_a_new_secret_to_itself_alone(api: ApiUnderTest) -> None:
    secret = await key_of(api, Role.VIEWER)
    own = (await api.anonymous.get("/api/v1/whoami", headers=of(secret))).json()
    assert (own["key"]["role"], own["verbs"]) == ("viewer", ["see", "logs"])
    admin = (await api.http.get("/whoami")).json()["key"]["id"]
    rotated = {}
    for key_id in (admin, own["key"]["id"]):
        rotated[key_id] = await api.anonymous.post(f"/api/v1/keys/{key_id}/rotate", json={}, headers=of(secret))
    assert rotated[admin].status_code == 403
    assert rotated[own["key"]["id"]].status_code == 200
    assert rotated[own["key"]["id"]].json()["role"] == "viewer"


async def test_the_last_key_that_makes_others_stays(api: ApiUnderTest) -> None:
    await key_of(api, Role.DEVELOPER)
    own = (await api.http.get("/whoami")).json()["key"]
    assert (await api.http.delete(f"/keys/{own['id']}")).status_code == 409


async def test_a_role_of_a_newer_version_opens_nothing(api: ApiUnderTest) -> None:
    secret = await key_of(api, Role.VIEWER)
    own = (await api.anonymous.get("/api/v1/whoami", headers=of(secret))).json()["key"]["id"]
    async with api.database.write() as session:
        (await KeyRepository(session).get(own)).role = "emperor"
    api.process.services.key_ring._changes._changed()
    assert (await api.anonymous.get("/api/v1/nodes", headers=of(secret))).status_code == 403
    listed = {item["id"]: item for item in (await api.http.get("/keys")).json()["items"]}
    assert listed[own]["role"] == "emperor"


def test_a_route_that_does_not_say_what_it_needs_is_no_route() -> None:
    app, router = FastAPI(), APIRouter(prefix="/api/v1", dependencies=[Depends(require_caller)])

    @router.get("/forgotten")
    async def forgotten() -> dict[str, Any]:
        return {}

    app.include_router(router)
    with pytest.raises(LookupError, match="/api/v1/forgotten has to say what it needs"):
        list(needs_of_routes(app))


@pytest.mark.parametrize(
    ("path", "need", "words"),
    [
        ("/forgotten", needs(Verb.SEE, ObjectKind.NODE), "names no node"),
        ("/nodes/{node_id}/x", needs(Verb.SEE, ObjectKind.INSTANCE), "names no instance"),
        ("/forgotten", needs(Verb.SEE, ObjectKind.NODE, judged=Judged.LIST), "takes no scope"),
    ],
)
def test_a_list_that_shows_all_to_everybody_is_no_route(path: str, need: Any, words: str) -> None:
    app, router = FastAPI(), APIRouter(prefix="/api/v1", dependencies=[Depends(require_caller)])

    @router.get(path, dependencies=[need])
    async def forgotten() -> dict[str, Any]:
        return {}

    app.include_router(router)
    with pytest.raises(LookupError, match=words):
        list(needs_of_routes(app))
