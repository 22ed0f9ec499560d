"""Routes whose object stands in the body: each has a line here, with a body that a guest may send and one that it may
not. A new one without a line fails."""

from __future__ import annotations

from typing import Any

import pytest

from api.app import create_routes
from api.needs import Judged, needs_of_routes
from tests.fixtures.api import ApiUnderTest
from tests.fixtures.guests import a_guest

CONTAINER = {"image": "debian:12"}


def pipeline(name: str) -> dict[str, Any]:
    step = {"name": "a", "node": "node-1", "container": CONTAINER}
    return {"spec": {"version": 1, "name": name, "steps": [step]}}


def instance(id_: str) -> dict[str, Any]:
    return {"id": id_, "node": "node-1", "container": CONTAINER}


BODIES: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    ("POST", "/api/v1/instances"): (instance("mine-a"), instance("others")),
    ("POST", "/api/v1/pipelines"): (pipeline("mine-a"), pipeline("others")),
    ("POST", "/api/v1/runs"): (pipeline("mine-a"), pipeline("others")),
}


def test_each_route_that_is_judged_by_its_body_has_a_line() -> None:
    found = {(method, path) for method, path, need in needs_of_routes(create_routes()) if need.judged is Judged.BODY}
    assert found == BODIES.keys()


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_a_body_is_let_in_where_a_grant_covers_it(api: ApiUnderTest, method: str, path: str) -> None:
    await api.add_node()
    guest = await a_guest(api)
    own, others = BODIES[method, path]
    for kind in ("instance", "pipeline"):
        await guest.may("developer", kind=kind, ids=["mine-*"])
    await guest.may("run", kind="node")
    refused = await guest.http.request(method, path.removeprefix("/api/v1"), json=others)
    assert refused.status_code == 403, refused.text
    allowed = await guest.http.request(method, path.removeprefix("/api/v1"), json=own)
    assert allowed.status_code == 201, allowed.text
