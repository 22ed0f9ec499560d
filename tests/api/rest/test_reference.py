"""The page `/docs`: the same for everybody, all of it from this server, and strict with what it may do."""

from __future__ import annotations

import re

import pytest

from api.rest.reference import FILES
from tests.fixtures.api import ApiUnderTest


async def test_it_comes_without_a_key_and_knows_nothing_of_this_server(api: ApiUnderTest) -> None:
    await api.add_node("secret-node")
    for path, (_, media_type) in FILES.items():
        answer = await api.anonymous.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].startswith(media_type)
        assert "secret-node" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self';" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "max-age=600"


async def test_all_that_it_loads_is_served_here(api: ApiUnderTest) -> None:
    page = (await api.anonymous.get("/docs")).text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {f"/{path}" for path in loaded} == FILES.keys() - {"/docs"}
    assert "<script>" not in page  # the policy would not run it


@pytest.mark.parametrize("path", ["/docs/index.html", "/docs/../app.py", "/docs/redoc.standalone.js"])
async def test_nothing_else_is_there(refusing_api: ApiUnderTest, path: str) -> None:
    assert (await refusing_api.anonymous.get(path)).status_code == 404
