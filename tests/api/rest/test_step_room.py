"""Steps that share a node's room, over REST, through the real workflow. On SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.api.rest.test_run import start, step
from tests.fixtures.api import ApiUnderTest

SHORT = "for room on node node-1: 0 of 2 CPUs are free, 2 are asked for"


def wide(name: str, cpus: str = "2", **fields: Any) -> dict[str, Any]:
    made = step(name, **fields)
    made["container"] |= {"deploy": {"resources": {"limits": {"cpus": cpus}}}}
    return made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that waits looks again soon, for what wakes nobody."""
    monkeypatch.setattr("workflows.run.rooms.LOOK_AGAIN", timedelta(milliseconds=200))
    for name in ("SETTLE", "LOST_AFTER"):
        monkeypatch.setattr(f"api.services.run.reconcile.{name}", timedelta(0))


async def room(api: ApiUnderTest) -> dict[str, Any]:
    cpus: dict[str, Any] = (await api.http.get("/nodes/node-1")).json()["room"]["cpus"]
    return cpus


async def two_runs(api: ApiUnderTest) -> tuple[str, str]:
    """One that goes on, and one that waits for its room."""
    await start(api)
    await api.http.patch("/nodes/node-1", json={"capacity_override": {"cpus": 2}})
    first = (await api.submit(wide("a", dummy={"sleep": 600})))["id"]
    await api.until_step(first, "a", "running")
    second = (await api.submit(wide("b")))["id"]
    await api.until_step(second, "b", "waiting_node")
    return first, second


async def test_a_step_waits_for_room_and_says_so(api: ApiUnderTest) -> None:
    first, second = await two_runs(api)
    shown = (await api.http.get(f"/runs/{second}")).json()
    assert (shown["waiting"], shown["steps"][0]["waiting"]) == (f"b waits {SHORT}", SHORT)
    assert [run["id"] for run in (await api.http.get("/runs", params={"waiting": True})).json()["items"]] == [second]
    assert await room(api) == {"capacity": 2, "reserved": 2, "free": 0}
    await api.http.post(f"/runs/{first}/cancel", json={})
    await api.until_run(second, "succeeded")
    assert await room(api) == {"capacity": 2, "reserved": 0, "free": 2}


async def test_the_room_of_a_run_whose_workflow_is_gone_is_given_back(api: ApiUnderTest) -> None:
    first, second = await two_runs(api)
    await api.client.get_workflow_handle(f"run/{first}").terminate("by hand")
    await api.process.reconciler.reconcile()
    await api.until_run(first, "failed")
    await api.until_run(second, "succeeded")
    assert await room(api) == {"capacity": 2, "reserved": 0, "free": 2}


async def test_what_never_fits_is_refused(api: ApiUnderTest) -> None:
    await api.add_node()
    await api.http.patch("/nodes/node-1", json={"capacity_override": {"cpus": 2}})
    spec = {"name": "p", "steps": [step("a"), wide("b", "3")]}
    refused = await api.http.post("/runs", json={"spec": spec, "node": "node-1"})
    assert refused.status_code == 422
    (problem,) = refused.json()["problems"]
    assert (problem["path"], problem["code"]) == ("steps[1].container", "never_fits")
    assert problem["message"] == 'step "b" never fits on node node-1: 2 of 2 CPUs are free, 3 are asked for'
