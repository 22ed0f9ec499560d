"""Instances with the keeper of a real agent on a dummy engine: their life, their log, and their consoles."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from agent_worker.node_link import session
from gamekeeper.domain.node.ability import Ability
from gamekeeper.domain.node.policy import NodePolicy
from tests.api.rest.test_instance import act, create, idle, until
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.fixtures.websocket import WebSocket, websocket
from tests.hang import HANG_SECONDS


@pytest.fixture
async def node(api: ApiUnderTest) -> ApiUnderTest:
    return await with_agent(api)


async def with_agent(api: ApiUnderTest) -> ApiUnderTest:
    await api.add_node()
    await api.start_control_worker()
    await api.start_agent()
    return api


def container(image: str = "a:1", **dummy: Any) -> dict[str, Any]:
    environment = {f"DUMMY_{key.upper()}": str(value) for key, value in ({"sleep": 600} | dummy).items()}
    return {"image": image, "environment": environment, "stop_grace_period": "1s"}


async def log(api: ApiUnderTest, **query: Any) -> str:
    return (await api.http.get("/instances/arena/logs", params=query)).text


async def until_logged(api: ApiUnderTest, text: str, **query: Any) -> str:
    async with asyncio.timeout(HANG_SECONDS):
        while text not in (found := await log(api, **query)):
            await asyncio.sleep(0.05)
    return found


def console(
    api: ApiUnderTest, what: str = "console", *query: tuple[str, str]
) -> AbstractAsyncContextManager[WebSocket]:
    return websocket(api.process.app, f"/api/v1/instances/arena/{what}", list(query), ADMIN_KEY)


async def test_a_line_of_a_schedule_is_signed_for_its_node_and_typed(node: ApiUnderTest) -> None:
    schedule = {"name": "closing", "cron": "@yearly", "command": "good night"}
    await create(node, container=container(stop="good night"), schedules=[schedule])
    await idle(node)
    answer = await node.http.post("/instances/arena/schedules/closing/trigger")
    assert (answer.json()["last_outcome"], answer.json()["last_message"]) == ("done", "")
    await until(node, lambda found: (found["state"], found["reason"]) == ("stopped", "clean_exit"))


async def test_a_life(node: ApiUnderTest) -> None:
    await create(node, container=container())
    found = await idle(node)
    assert (found["state"], found["digest"], bool(found["container_id"])) == ("ready", "sha256:dummy", True)
    await act(node, "stop")
    assert (await idle(node))["state"] == "stopped"
    await act(node, "start")
    assert (await idle(node))["state"] == "ready"
    await act(node, "update", {"container": container("a:2")})
    assert ((await idle(node))["revision"], (await idle(node))["state"]) == (2, "ready")
    await act(node, "rollback")
    assert ((await idle(node))["revision"], (await idle(node))["state"]) == (1, "ready")
    assert (await node.http.delete("/instances/arena")).status_code == 202
    await until(node, lambda found: found.get("code") == "not_found")


async def test_two_of_them_cant_have_gpus(api: ApiUnderTest) -> None:
    """Not even two of a node's: Docker gives the same one to both where nobody knows the ids."""
    node = api
    await node.add_node()
    await node.start_control_worker()
    await node.start_agent(policy=NodePolicy(devices=["gpu"]))
    await node.http.patch("/nodes/node-1", json={"capacity_override": {"gpus": 2}})
    await started(node, gpus=[{"count": 1}])
    body = {"container": container("a:2") | {"gpus": [{"count": 1}]}, "strategy": "blue_green"}
    (problem,) = (await act(node, "update", body, 422))["problems"]
    assert (problem["path"], problem["code"]) == ("container.gpus", "gpu_of_both")
    assert problem["message"] == "the revision that runs has its GPUs until the new one is ready"
    await act(node, "update", body | {"strategy": "recreate"})
    await idle(node)
    refused = await act(node, "rollback", {"strategy": "blue_green"}, 409)
    assert "the revision that runs has its GPUs" in refused["detail"]


async def test_a_revision_that_crashes_goes_back(node: ApiUnderTest) -> None:
    await create(node, container=container(), restart={"attempts": 1, "window": "1m"})
    await idle(node)
    bad = container("a:2", sleep=0, exit_code=3, output="no map\n")
    await act(node, "update", {"container": bad, "auto_revert": True})
    found = await until(node, lambda found: found["revision"] == 1 and found["operation"] is None)
    assert (found["state"], found["image"]) == ("ready", "a:1")


WEB = {"ports": ["game=0:80"]}
SICK = {"healthcheck": {"test": ["CMD", "true"]}}


async def started(api: ApiUnderTest, **fields: Any) -> dict[str, Any]:
    await create(api, container=container() | WEB | fields)
    return await idle(api)


def held(found: dict[str, Any]) -> list[tuple[str, int]]:
    return [(port["name"], port["number"]) for port in found["held_ports"]]


async def test_a_revision_comes_up_beside_the_one_before_with_a_port_of_its_own(node: ApiUnderTest) -> None:
    first = await started(node)
    ((_, number),) = held(first)
    await act(node, "update", {"container": container("a:2") | WEB, "strategy": "blue_green"})
    found = await idle(node)
    assert (found["revision"], found["state"], found["image"]) == (2, "ready", "a:2")
    assert held(found) == [("game", number + 1)]
    revision = (await node.http.get("/instances/arena/revisions/2")).json()
    assert not any("asked" in change for change in revision["changes"])
    again = await act(node, "update", {"container": revision["spec"]["container"], "strategy": "blue_green"}, 409)
    assert "is this already" in again["detail"]
    await act(node, "rollback", {"strategy": "blue_green"})
    back = await idle(node)
    assert (back["revision"], back["state"], held(back)) == (1, "ready", held(first))


async def test_one_that_is_not_ready_leaves_the_one_before_as_it_was(node: ApiUnderTest) -> None:
    first = await started(node)
    bad = container("a:2", healthy_after=600) | WEB | SICK
    body = {"container": bad, "ready": {"within": "300ms"}, "strategy": "blue_green"}
    await act(node, "update", body)
    found = await idle(node)
    assert (found["revision"], found["state"], found["reason"]) == (2, "ready", "unhealthy")
    assert found["message"].startswith("revision 2 is not up: it was not ready within 300ms")
    assert found["container_id"] == first["container_id"]
    assert {number for _, number in held(found)} > {number for _, number in held(first)}  # that one still has its own
    await act(node, "update", body | {"auto_revert": True, "ready": {"within": "400ms"}})
    back = await until(node, lambda found: found["revision"] == 1 and found["operation"] is None)
    assert (back["state"], back["container_id"], held(back)) == ("ready", first["container_id"], held(first))


async def test_two_of_them_cant_have_one_port(node: ApiUnderTest) -> None:
    await started(node, ports=["18303:80", "0:81"])
    taken = {"container": container("a:2") | {"ports": ["0:81", "18303:80"]}, "strategy": "blue_green"}
    (problem,) = (await act(node, "update", taken, 422))["problems"]
    assert problem["path"] == "container.ports[1]"
    assert problem["message"] == "port 18303/tcp is held by the revision that runs until the new one is ready"
    assert problem["hint"].startswith('write "0:80/tcp" for a free port')
    odd = await act(node, "update", {"container": {"image": "a:2"}, "strategy": "rolling"}, 422)
    assert 'body.strategy: "rolling"; use recreate or blue_green' in odd["detail"]
    await act(node, "update", {"container": {"image": "a:2", "ports": ["18303:80"]}})
    await idle(node)
    refused = await act(node, "rollback", {"strategy": "blue_green"}, 409)
    assert "port 18303/tcp is held by the revision that runs" in refused["detail"]
    await act(node, "stop")
    await idle(node)
    await act(node, "rollback", {"strategy": "blue_green"})  # nothing runs beside it
    assert (await idle(node))["revision"] == 1


async def test_an_agent_that_cant_do_it_is_told(api: ApiUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "Ability", [Ability.INSTANCES])
    node = await with_agent(api)
    await started(node)
    body = {"container": container("a:2"), "strategy": "blue_green"}
    refused = await act(node, "update", body, 409)
    assert "brings no revision up beside another: upgrade it, or write strategy: recreate" in refused["detail"]
    await act(node, "update", body | {"strategy": "recreate"})
    assert (await idle(node))["revision"] == 2


async def test_the_log_is_one_over_all_revisions(node: ApiUnderTest) -> None:
    await create(node, container=container(output="one\ntwo\n"))
    await idle(node)
    await until_logged(node, "two\n")
    await act(node, "update", {"container": container("a:2", output="three\n")})
    await idle(node)
    assert await until_logged(node, "three\n") == "one\ntwo\nthree\n"
    assert await log(node, tail=2) == "two\nthree\n"
    assert await log(node, revision=1) == "one\ntwo\n"
    assert (await node.http.get("/instances/arena/logs", params={"revision": 5})).status_code == 404
    events = lines_of((await node.http.get("/instances/arena/logs", params={"lines": True})).text)
    assert [(event.get("text"), event.get("revision")) for event in events] == [
        ("one\n", 1),
        ("two\n", 1),
        ("three\n", 2),
        (None, None),
    ]
    headers = {"Last-Event-ID": events[0]["id"]}
    resumed = await node.http.get("/instances/arena/logs", params={"lines": True}, headers=headers)
    assert [event.get("text") for event in lines_of(resumed.text)] == ["two\n", "three\n", None]


def lines_of(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "data" in fields:
            found.append({"id": fields.get("id")} | json.loads(fields["data"]))
    return found


async def test_a_log_is_followed_over_an_update_to_the_end(node: ApiUnderTest) -> None:
    await create(node, container=container(output="one\n"))
    await idle(node)
    await until_logged(node, "one\n")
    following = asyncio.create_task(node.http.get("/instances/arena/logs", params={"follow": True}))
    await act(node, "update", {"container": container("a:2", output="two\n")})
    await idle(node)
    await until_logged(node, "two\n")
    assert (await node.http.delete("/instances/arena")).status_code == 202
    async with asyncio.timeout(HANG_SECONDS):
        events = lines_of((await following).text)
    assert [event.get("text") for event in events] == ["one\n", "two\n", None]
    assert events[-1]["reason"] == "instance arena is gone"


async def test_a_console_shows_its_history_and_who_looks_on(node: ApiUnderTest) -> None:
    await create(node, container=container(output="one\ntwo\n"))
    await idle(node)
    await until_logged(node, "two\n")
    async with console(node, "console", ("history", "1")) as first:
        assert await begun(first) == (b"two\nattached\n80x24\n", ["key:admin"])
        async with console(node, "console", ("history", "0")) as second:
            assert await viewers(second) == ["key:admin", "key:admin"]
            assert await viewers(first) == ["key:admin", "key:admin"]
            await second.leave()
        assert await viewers(first) == ["key:admin"]
        await first.leave()
    kinds = [item["kind"] for item in (await node.http.get("/instances/arena/events")).json()["items"]]
    assert kinds.count("instance.console_opened") == 2


async def test_the_history_of_a_console_is_the_nodes_own_and_what_went_before(node: ApiUnderTest) -> None:
    """Lines of the container come from its node, also those that are not uploaded; those of earlier ones from here."""
    await create(node, container=container(output="one\n"))
    await idle(node)
    await until_logged(node, "one\n")
    await act(node, "update", {"container": container("a:2", output="two\n")})
    await idle(node)
    async with console(node) as client:
        assert (await begun(client))[0] == b"one\ntwo\nattached\n80x24\n"
        await client.leave()
    async with console(node, "console", ("history", "1")) as client:
        assert (await begun(client))[0] == b"two\nattached\n80x24\n"
        await client.leave()


async def test_an_agent_of_before_has_its_history_from_the_server(node: ApiUnderTest) -> None:
    await create(node, container=container(output="one\ntwo\n"))
    await idle(node)
    await until_logged(node, "two\n")
    session = node.process.presence.session("node-1")
    assert session is not None
    session.abilities = frozenset(["instances"])
    async with console(node, "console", ("history", "1")) as client:
        assert (await begun(client))[0].startswith(b"two\n")
        await client.leave()


async def begun(client: WebSocket) -> tuple[bytes, Any]:
    """The output up to what the dummy says at its beginning, and who looks on, in whatever order they come."""
    out, names = b"", None
    while names is None or not out.endswith(b"80x24\n"):
        message = await client.receive()
        if isinstance(message, bytes):
            out += message[1:]
        else:
            assert isinstance(message, str), message
            names = json.loads(message)["viewers"]
    return out, names


async def viewers(client: WebSocket) -> Any:
    """The next word on who looks on, whatever the process writes before."""
    while not isinstance(message := await client.receive(), str):
        assert isinstance(message, bytes), message
    return json.loads(message)["viewers"]


async def test_a_command_beside_its_process(node: ApiUnderTest) -> None:
    await create(node, container=container())
    await idle(node)
    async with console(node, "exec", ("command", "sh"), ("command", "-i")) as client:
        assert await client.receive() == b"\x01sh -i\n"
        await client.leave()
    await act(node, "stop")
    await idle(node)
    async with console(node, "exec", ("command", "sh")) as client:
        assert await client.receive() == (
            4409,
            'instance "arena" has no running container: it is stopped; gamekeeper instance start arena',
        )


async def test_the_console_of_a_step_leads_to_its_instance_whatever_revision_that_has(node: ApiUnderTest) -> None:
    step = {"name": "server", "type": "service", "lifetime": "node", "instance": "arena", "container": container()}
    run = await node.submit(step)
    await node.until_run(run["id"], "succeeded")
    path = f"/api/v1/runs/{run['id']}/steps/server/exec"
    command = [("command", "sh"), ("command", "-i")]
    async with websocket(node.process.app, path, command, ADMIN_KEY) as client:
        assert await client.receive() == b"\x01sh -i\n"
        await client.leave()
    await act(node, "update", {"container": container("a:2")})
    await idle(node)
    async with websocket(node.process.app, path, command, ADMIN_KEY) as client:
        assert await client.receive() == b"\x01sh -i\n"
        await client.leave()
    opened = (await node.http.get("/events", params={"kind": "instance.console_opened"})).json()["items"]
    assert len(opened) == 2
    await act(node, "stop")
    await idle(node)
    async with websocket(node.process.app, path, command, ADMIN_KEY) as client:
        refused = await client.receive()
    assert 'instance "arena" has no running container: it is stopped; gamekeeper instance start arena' in str(refused)
