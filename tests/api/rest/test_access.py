"""Access to every route: the app's routes are walked, so that a new one can't be forgotten."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts

from api.app import create_routes
from api.dependencies import require_caller
from api.needs import PUBLIC_PATHS
from api.openapi import openapi_document
from api.rest import reference
from api.services.bucket import Buckets
from gamekeeper.temporal.pollers import Pollers
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.websocket import websocket
from tests.hang import HANG_SECONDS


def routes(api: ApiUnderTest) -> list[tuple[str, str]]:
    """Every (method, path) that the app answers, path parameters filled in."""
    found = []
    for route in iter_route_contexts(api.process.app.routes):
        path = re.sub(r"\{[^}]+\}", "x", str(route.path))
        found += [(method, path) for method in sorted((route.methods or set()) - {"HEAD"})]
    return found


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        "Basic Z2s6Z2s=",
        "bearer " + "x" * 5000,
        "Bearer gk_test-key-of-at-least-32-character",
    ],
)
async def test_every_route_but_the_health_ones_needs_a_key(
    refusing_api: ApiUnderTest, header: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusing_api.process.services.rates, "_wrong", Buckets(1e6, 1e6))
    walked = routes(refusing_api)
    assert len(walked) > 15
    for method, path in walked:
        headers = {} if header is None else {"Authorization": header}
        answer = await refusing_api.anonymous.request(method, path, headers=headers)
        if path == "/api/v1/join":  # its own test shows that a token or a node key is needed
            assert answer.status_code == 422, path
        elif path.startswith("/api/v1/sign-in/oidc"):  # there is no provider here
            assert answer.status_code == 404, path
        elif f"{path}/".startswith("/api/v1/sign-in/") and method == "POST":  # its own tests show what is needed
            assert answer.status_code == 422, path
        elif path in ("/agent/x", "/api/v1/alarm-links/x"):  # a file, and a link, that are not there
            assert answer.status_code == 404, path
        elif path == "/metrics" and not header:  # this client is on the machine itself
            assert answer.status_code == 200, path
        elif path in PUBLIC_PATHS | reference.FILES.keys():
            assert answer.status_code in (200, 503 if path == "/readyz" else 200), path
        else:
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "Authorization: Bearer" in answer.json()["hint"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nodes/livez",
        "/api/v1/nodes//livez",
        "/API/v1/nodes",
        "/api/v1/nodes?x=/livez",
        "/api/v1/nodes/%2flivez",
    ],
)
async def test_a_path_that_looks_public_is_not(refusing_api: ApiUnderTest, path: str) -> None:
    answer = await refusing_api.anonymous.get(path, headers={"Host": "livez/"})
    assert answer.status_code in (401, 404)


@pytest.mark.parametrize("path", ["/api/v1/nodes/", "/docs/", "/livez/", "/api/v1/runs/x/"])
async def test_a_slash_at_the_end_leads_nowhere(refusing_api: ApiUnderTest, path: str) -> None:
    """Neither past the key nor to an address that the caller has named."""
    answer = await refusing_api.anonymous.get(path, headers={"Host": "elsewhere.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


NO_API_KEY = {
    ("GET", "/livez"): "for load balancers",
    ("GET", "/readyz"): "for load balancers",
    ("GET", "/metrics"): "its own key, or none on this machine",
    ("GET", "/join.sh"): "holds no secret; the line that runs it knows its digest",
    ("GET", "/agent/{file}"): "holds no secret",
    ("GET", "/api/v1/roots"): "certificates are public, and known by their pin",
    ("POST", "/api/v1/join"): "by a token or a key of its own",
    ("POST", "/api/v1/sign-in"): "by a password",
    ("GET", "/api/v1/sign-in"): "tells a page which ways there are",
    ("GET", "/api/v1/sign-in/oidc"): "leads to the provider",
    ("GET", "/api/v1/sign-in/oidc/callback"): "by what the provider says",
    ("POST", "/api/v1/sign-in/oidc"): "by a code of its own",
    ("POST", "/api/v1/sign-in/link"): "by a link that signs in once",
    ("POST", "/api/v1/sign-in/passkey"): "by a passkey",
    ("POST", "/api/v1/sign-in/passkey/options"): "the same for everybody",
    ("GET", "/api/v1/alarm-links/{token}"): "by the signed link itself; it changes nothing",
    ("POST", "/api/v1/alarm-links/{token}"): "by the signed link itself",
} | {("GET", path): "the page for everybody, which asks for the key" for path in reference.FILES}


def asks_for_a_key(dependant: Dependant) -> bool:
    return dependant.call is require_caller or any(asks_for_a_key(part) for part in dependant.dependencies)


def test_what_needs_no_key_is_a_list() -> None:
    """WebSockets as well: whatever is added needs a key, or a line above. The document says the same."""
    app = create_routes()
    walked = list(iter_route_contexts(app.routes))
    for route in walked:
        assert isinstance(route.original_route, APIRoute | APIWebSocketRoute), f"{route}: a mount has no dependencies"
    found = {
        (method, str(route.path))
        for route in walked
        for method in (route.methods or {"WEBSOCKET"})
        if not asks_for_a_key(route.dependant)
    }
    assert found == NO_API_KEY.keys()
    assert sum(isinstance(route.original_route, APIWebSocketRoute) for route in walked) == 4
    paths: Any = openapi_document(app)["paths"]
    told = {
        (method.upper(), path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if operation.get("security") == []
    }
    assert told == NO_API_KEY.keys() - {("GET", path) for path in ("/metrics", *reference.FILES)}


@pytest.mark.parametrize("key", ["", "gk_wrong-key-of-at-least-32-characters"])
async def test_no_console_opens_without_a_key(refusing_api: ApiUnderTest, key: str) -> None:
    for route in iter_route_contexts(refusing_api.process.app.routes):
        if isinstance(route.original_route, APIWebSocketRoute):
            path = re.sub(r"\{[^}]+\}", "x", str(route.path))
            async with websocket(refusing_api.process.app, path, [("command", "sh")], key) as console:
                closed = await console.receive()
            assert isinstance(closed, tuple)
            assert closed[0] == 4401, path


async def test_keys_are_stored_as_hashes_only(api: ApiUnderTest) -> None:
    from sqlalchemy import text

    async with api.database.read() as session:
        rows = (await (await session.connection()).execute(text("SELECT * FROM api_key_secrets"))).all()
        keys = (await (await session.connection()).execute(text("SELECT * FROM api_keys"))).all()
    assert len(rows) == 1
    assert "test-key" not in f"{rows}{keys}"
    assert re.fullmatch("[0-9a-f]{64}", rows[0][0])


async def test_openapi_has_examples_and_the_problem_format(api: ApiUnderTest) -> None:
    document = (await api.http.get("/openapi.json")).json()
    assert document == openapi_document(api.process.app)
    schemas = document["components"]["schemas"]
    assert schemas["RunCreate"]["examples"]
    assert schemas["NodeCreate"]["examples"]
    assert "problems" in schemas["ProblemDetails"]["properties"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            has_no_key = path in PUBLIC_PATHS and not path.startswith("/api/v1/")
            assert ("401" in operation["responses"]) == (not has_no_key)


async def test_health_routes(api: ApiUnderTest) -> None:
    assert (await api.anonymous.get("/livez")).json()["status"] == "ok"
    names = ("database", "temporal", "control_worker", "log_store", "disk", "certificates", "secrets", "payloads")
    await api.start_control_worker()
    async with asyncio.timeout(HANG_SECONDS):
        while (answer := await api.anonymous.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)
    assert answer.json() == {"ready": True, "parts": dict.fromkeys(names, "ok")}
    api.process.services.parts._dispatcher._control_workers = Pollers("nobody-polls-this")
    alone = await api.anonymous.get("/readyz")
    assert (alone.status_code, alone.json()["ready"]) == (503, False)
    assert "none takes work from Temporal" in alone.json()["parts"]["control_worker"]
    await api.add_node()
    metrics = (await api.anonymous.get("/metrics")).text
    assert 'gamekeeper_nodes{status="never_seen"} 1.0' in metrics
    assert 'gamekeeper_runs{state="running"} 0.0' in metrics
