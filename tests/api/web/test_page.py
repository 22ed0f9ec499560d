"""The console at the root: one index for all its pages, files with their forms, and strict headers, without a key."""

from __future__ import annotations

import gzip
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_routes
from api.web.files import STAMP, WebFiles
from api.web.page import HEADERS
from tests.fixtures.api import ApiUnderTest

INDEX = b"<!doctype html><title>Gamekeeper</title>"
SCRIPT = b"console.log('a')"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tmp_path = tmp_path_factory.mktemp("built")
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(INDEX)
    (tmp_path / "favicon.svg").write_bytes(b"<svg/>")
    (tmp_path / "assets" / "main-1.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "main-1.js.gz").write_bytes(gzip.compress(SCRIPT))
    (tmp_path / "assets" / "main-1.js.br").write_bytes(b"as-brotli")
    (tmp_path / STAMP).write_text("first")
    return tmp_path


def web_client(folder: Path) -> httpx.AsyncClient:
    """The routes of the api around a folder of files, with no services behind them."""
    app = create_routes(WebFiles(folder))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


@pytest.fixture(scope="module")
def web(built: Path) -> httpx.AsyncClient:
    return web_client(built)


@pytest.mark.parametrize(
    "path", ["/", "/instances", "/instances/a.b", "/runs/x?state=failed", "/no/such/page", "/%2e%2e/etc"]
)
async def test_every_page_of_the_console_is_the_index(web: httpx.AsyncClient, path: str) -> None:
    answer = await web.get(path)
    assert (answer.status_code, answer.content) == (200, INDEX)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache"
    for name, value in HEADERS.items():
        assert answer.headers[name] == value


def test_the_policy_is_strict() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "data:" not in policy
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ):
        assert part in policy.split("; ")


@pytest.mark.parametrize(
    ("takes", "encoding", "body"),
    [
        ("gzip, deflate, br, zstd", "br", b"as-brotli"),
        ("br;q=0, gzip", "gzip", SCRIPT),
        ("br;q=0.0, gzip;q=0.5", "gzip", SCRIPT),
        ("deflate", None, SCRIPT),
        ("", None, SCRIPT),
    ],
)
async def test_forms(web: httpx.AsyncClient, takes: str, encoding: str | None, body: bytes) -> None:
    async with web.stream("GET", "/assets/main-1.js", headers={"Accept-Encoding": takes}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers.get("content-encoding") == encoding
    assert (gzip.decompress(raw) if encoding == "gzip" else raw) == body
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/javascript")


async def test_what_a_browser_has_is_not_sent_again(web: httpx.AsyncClient) -> None:
    first = await web.get("/", headers={"Accept-Encoding": "identity"})
    tag = first.headers["etag"]
    again = await web.get("/", headers={"Accept-Encoding": "identity", "If-None-Match": f'"x", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    coded = await web.head("/assets/main-1.js", headers={"Accept-Encoding": "br"})
    plain = await web.head("/assets/main-1.js", headers={"Accept-Encoding": "identity"})
    assert coded.headers["etag"] != plain.headers["etag"]


async def test_head_tells_the_same_without_the_body(web: httpx.AsyncClient) -> None:
    got, head = await web.get("/favicon.svg"), await web.head("/favicon.svg")
    assert head.content == b""
    assert dict(head.headers) == dict(got.headers)
    assert head.headers["content-length"] == "6"


MISSING_FILES = ("/assets/main-0.js", "/assets/", "/assets/%2e%2e/build.txt", "/favicon.ico", "/.env", "/build.txt")
OUR_ROUTES = ("/api", "/api/v1", "/api/v2/nodes", "/livez/x", "/docs/x", "/agent/x/y")


@pytest.mark.parametrize("path", [*MISSING_FILES, "/assets/main-1.js.br", *OUR_ROUTES])
async def test_files_and_routes_that_are_not_there(web: httpx.AsyncClient, path: str) -> None:
    answer = await web.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["*", ""])
async def test_a_target_that_is_no_path_is_not_there(built: Path, path: str) -> None:
    """As of ``GET * HTTP/1.1``, which no client here sends. The bare app raises what a server would answer with 500."""
    told: list[MutableMapping[str, Any]] = []
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
    }
    scope |= {"path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": []}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    scope |= {"client": ("127.0.0.1", 1), "server": ("localhost", 80)}
    await create_routes(WebFiles(built))(scope, receive, send)
    assert told[0]["status"] == 404


async def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    answer = await web_client(tmp_path / "none").get("/instances")
    assert answer.status_code == 503
    assert "make web" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_else_can_be_done_there(refusing_api: ApiUnderTest, method: str) -> None:
    """Without a key not even a body is read; with one there is no such route."""
    transport = httpx.ASGITransport(refusing_api.process.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.request(method, "/instances", json={})).status_code == 401
        key = {"Authorization": refusing_api.http.headers["authorization"]}
        assert (await http.request(method, "/instances", json={}, headers=key)).status_code == 404
