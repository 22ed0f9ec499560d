"""Requests with a slip in them, and with what is no text or number: refused by name, never a 500."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from api.openapi import openapi_document
from tests.fixtures.api import ApiUnderTest

TWO = "²"  # a digit for str.isdigit, and for nothing else


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("header", ["Last-Event-ID", "If-Match"])
@pytest.mark.parametrize("value", [TWO, "٣", "1" * 19, "9" * 4400, "+1", "1_0", " ", "0x1", "½"])
async def test_a_header_that_is_no_number(refusing_api: ApiUnderTest, header: str, value: str) -> None:
    sent = {header.encode(): value.encode()}
    path, method = ("/runs/nope/events", "GET") if header == "Last-Event-ID" else ("/nodes/node-1", "PATCH")
    answer = await refusing_api.http.request(method, path, headers=sent, json={} if method == "PATCH" else None)
    assert answer.status_code in (404, 422), answer.text
    if value != " ":
        assert header in answer.json()["detail"]


@pytest.mark.parametrize("text", [TWO, "1" * 19, "9" * 4400, "-1"])
async def test_a_cursor_that_is_no_number(refusing_api: ApiUnderTest, text: str) -> None:
    answer = await refusing_api.http.get("/events", params={"cursor": cursor(text)})
    assert answer.status_code == 422, answer.text


async def test_no_list_fails_at_a_cursor(refusing_api: ApiUnderTest) -> None:
    document: Any = openapi_document(refusing_api.process.app)
    lists = [
        path.removeprefix("/api/v1")
        for path, operations in document["paths"].items()
        if any(parameter["name"] == "cursor" for parameter in operations.get("get", {}).get("parameters", ()))
    ]
    assert len(lists) > 5
    for path in lists:
        for text in (TWO, "\x00", "9" * 140, "|", "a|b|c", "|" * 9):
            address = path.replace("{", "").replace("}", "")
            answer = await refusing_api.http.get(address, params={"cursor": cursor(text)})
            assert answer.status_code in (200, 404, 422), (path, text, answer.text)
        answer = await refusing_api.http.get(address, params={"cursor": "ä"})
        assert answer.status_code == 422, (path, answer.text)
    assert (await refusing_api.http.get("/run-groups?name=x&cursor=%c3%a4")).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "\\ud800"}',
        b'{"id": "x", "description": "\\ud800"}',
        b'{"id": "x", "labels": {"a": "\\udfff"}}',
        b'{"id": "x", "\\ud800": 1}',
    ],
)
async def test_half_a_surrogate_pair(refusing_api: ApiUnderTest, body: bytes) -> None:
    answer = await refusing_api.http.post("/nodes", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize("query", ["%ed%a0%80=1", "status=%ed%a0%80", "cursor=%ff", "label=%ed%a0%80=x"])
async def test_a_query_that_is_no_text(refusing_api: ApiUnderTest, query: str) -> None:
    answer = await refusing_api.http.get(f"/nodes?{query}")
    assert answer.status_code in (200, 400, 422), answer.text


@pytest.mark.parametrize(
    ("path", "name", "hint"),
    [
        ("/runs?stat=failed", "stat", "state"),
        ("/nodes?limt=5", "limt", "limit"),
        ("/events?follow=false&knd=node", "knd", "kind"),
        ("/ca?verbose=1", "verbose", "none"),
        ("/roots?x=1", "x", "none"),
        ("/nodes?%1b[31m=1", "?[31m", ""),
    ],
)
async def test_an_unknown_parameter_is_named(refusing_api: ApiUnderTest, path: str, name: str, hint: str) -> None:
    answer = await refusing_api.http.get(path)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "unknown_parameter")
    assert f'"{name}"' in problem["detail"]
    assert hint in problem["hint"]


async def test_parameters_are_looked_at_behind_the_key(refusing_api: ApiUnderTest) -> None:
    answer = await refusing_api.anonymous.get("/api/v1/runs?stat=failed")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/runs", "GET, POST"),
        ("PUT", "/api/v1/nodes/x", "DELETE, GET, PATCH"),
        ("DELETE", "/livez", "GET"),
        ("GET", "/api/v1/join", "POST"),
    ],
)
async def test_a_wrong_method_tells_all_right_ones(
    refusing_api: ApiUnderTest, method: str, path: str, allowed: str
) -> None:
    answer = await refusing_api.http.request(method, f"http://localhost{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
