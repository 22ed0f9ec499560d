"""Routes declare the errors that they can answer, and the tests' clients hold every answer against that."""

from __future__ import annotations

import httpx
import pytest

from api.app import create_routes
from api.needs import PUBLIC_PATHS
from api.openapi import openapi_document
from api.problems import STATUS_BY_KIND, problems
from gamekeeper.errors import ConflictError, NotFoundError, PreconditionError
from tests.fixtures.declared import check_declared


def answer(method: str, path: str, status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request(method, f"http://api{path}"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nodes", 412),
        ("GET", "/api/v1/nodes/n1", 412),
        ("PATCH", "/api/v1/nodes/n1", 500),
        ("GET", "/api/v1/runs/r/steps/s/logs", 413),
        ("GET", "/livez", 503),
    ],
)
async def test_an_undeclared_error_is_found(method: str, path: str, status: int) -> None:
    with pytest.raises(AssertionError):
        await check_declared(answer(method, path, status))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", "/api/v1/nodes/n1", 412),
        ("POST", "/api/v1/runs", 409),
        ("GET", "/api/v1/nowhere", 404),
        ("PUT", "/api/v1/nodes", 405),
        ("GET", "/api/v1/nodes", 200),
    ],
)
async def test_a_declared_one_is_none(method: str, path: str, status: int) -> None:
    await check_declared(answer(method, path, status))


def test_every_route_below_the_key_declares_what_all_may_answer() -> None:
    paths = openapi_document(create_routes())["paths"]
    assert isinstance(paths, dict)
    for path in paths.keys() - PUBLIC_PATHS - {"/metrics"}:  # that one takes nothing, and has a key of its own
        for method, operation in paths[path].items():
            assert {"400", "401", "422", "503"} <= operation["responses"].keys(), (method, path)


def test_a_declaration_names_the_codes() -> None:
    declared = problems(NotFoundError, ConflictError, PreconditionError)
    assert {status: item["description"] for status, item in declared.items()} == {
        STATUS_BY_KIND["not_found"]: "Not found: `not_found`",
        409: "Conflict: `conflict`",
        412: "Precondition failed: `precondition`",
    }
