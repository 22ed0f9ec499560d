"""Consoles: a client, the api, and an agent with a dummy engine, which echoes."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from fastapi.routing import APIWebSocketRoute, iter_route_contexts

from agent_worker.dummy_engine import DummyConsole
from agent_worker.node_link import consoles
from api.rest.v1 import console as rest
from api.services.node.agent_session import AgentSession
from tests.fixtures.api import ADMIN_KEY, ApiUnderTest
from tests.fixtures.websocket import WebSocket, websocket
from tests.hang import HANG_SECONDS


@pytest.fixture
async def run_id(api: ApiUnderTest) -> str:
    await api.add_node()
    await api.start_agent()
    await api.start_control_worker()
    environment = {"DUMMY_SLEEP": "60"}
    run = await api.submit({"name": "work", "container": {"image": "image", "environment": environment}})
    await api.until_step(run["id"], "work", "running")
    return str(run["id"])


def console(
    api: ApiUnderTest, run_id: str, what: str = "exec", key: str = ADMIN_KEY, **query: str
) -> AbstractAsyncContextManager[WebSocket]:
    parts = [*query.items(), *([("command", "sh"), ("command", "-i")] if what == "exec" else [])]
    return websocket(api.process.app, f"/api/v1/runs/{run_id}/steps/work/{what}", parts, key)


async def event_messages(api: ApiUnderTest, kind: str) -> list[str]:
    items = (await api.http.get("/events", params={"kind": kind})).json()["items"]
    return [item["message"] for item in items]


async def until_event(api: ApiUnderTest, kind: str) -> str:
    async with asyncio.timeout(HANG_SECONDS):
        while not (found := await event_messages(api, kind)):
            await asyncio.sleep(0.02)
    return found[0]


async def test_a_command_and_its_exit_code(api: ApiUnderTest, run_id: str) -> None:
    async with console(api, run_id, tty="true", columns="100", rows="30") as client:
        assert await client.receive() == b"\x01sh -i\n"
        assert await client.receive() == b"\x01100x30\n"
        await client.send(b"\x00hello \xff\n")
        assert await client.receive() == b"\x01hello \xff\n"
        await client.send(json.dumps({"resize": {"columns": 120, "rows": 40}}))
        assert await client.receive() == b"\x01120x40\n"
        await client.send(b"\x00exit 7")
        assert await client.receive() == '{"exit_code": 7}'
        assert await client.receive() == (1000, "")
    opened = (await api.http.get("/events", params={"kind": "step.console_opened"})).json()["items"][0]
    assert (opened["message"], opened["actor"], opened["node"]) == ("sh -i", "key:admin", "node-1")
    assert await until_event(api, "step.console_closed") == "exit code 7"


async def test_attach_goes_on_behind_the_end_of_input(api: ApiUnderTest, run_id: str) -> None:
    async with console(api, run_id, "attach") as client:
        assert await client.receive() == b"\x01attached\n"
        await client.receive()
        await client.send('{"end_of_input": true}')
        await client.send(b"\x00it goes on\n")
        assert await client.receive() == b"\x01it goes on\n"
        await client.send(b"\x00exit 0")
        assert await client.receive() == '{"exit_code": 0}'
        await client.receive()


async def test_a_client_that_goes_takes_the_command_with_it(
    api: ApiUnderTest, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung_up = asyncio.Event()

    async def close(self: DummyConsole) -> None:
        hung_up.set()

    monkeypatch.setattr(DummyConsole, "close", close)
    async with console(api, run_id) as client:
        await client.receive()
        await client.leave()
    await asyncio.wait_for(hung_up.wait(), HANG_SECONDS)
    assert await until_event(api, "step.console_closed") == "the client or the agent went away"


async def test_a_command_that_does_not_read_holds_up_nothing_for_good(
    api: ApiUnderTest, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung_up, writing = asyncio.Event(), asyncio.Event()

    async def write(self: DummyConsole, data: bytes) -> None:
        writing.set()
        await asyncio.Event().wait()

    async def close(self: DummyConsole) -> None:
        hung_up.set()

    monkeypatch.setattr(rest, "INPUT_SECONDS", 0.5)
    monkeypatch.setattr(DummyConsole, "write", write)
    monkeypatch.setattr(DummyConsole, "close", close)
    async with console(api, run_id) as client:
        await client.receive()
        for _ in range(50):  # more than the buffers between here and there hold
            await client.send(b"\x00" + bytes(60_000))
        await asyncio.wait_for(writing.wait(), HANG_SECONDS)
        await client.leave()  # which is not seen behind all that
        while not isinstance(closed := await client.receive(), tuple):
            pass
        assert closed == (4503, "the command has not read its input for 0 s")
    await asyncio.wait_for(hung_up.wait(), HANG_SECONDS)


async def test_a_request_that_is_lost_with_its_session_is_made_again(
    api: ApiUnderTest, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    presence, lost = api.process.presence, asyncio.Event()
    broken = presence.session("node-1")
    assert broken is not None

    def push(_request: object) -> bool:
        lost.set()
        return True

    async def first_line() -> object:
        async with console(api, run_id) as client:
            line = await client.receive()
            await client.receive()
            await client.send(b"\x00exit 0")
            while not isinstance(await client.receive(), tuple):
                pass
            return line

    monkeypatch.setattr(broken, "push", push)
    opening = asyncio.create_task(first_line())
    await asyncio.wait_for(lost.wait(), HANG_SECONDS)
    presence._sessions["node-1"] = AgentSession("node-1", broken.epoch, directives=broken.directives)
    assert await asyncio.wait_for(opening, HANG_SECONDS) == b"\x01sh -i\n"


async def test_an_agent_that_goes_is_told(api: ApiUnderTest, run_id: str) -> None:
    async with console(api, run_id) as client:
        await client.receive()
        await client.receive()
        await api.process.link_server.stop(0)
        assert await client.receive() == '{"failed": "the agent of node node-1 went away"}'
        await client.receive()


async def test_what_the_node_refuses_is_told(api: ApiUnderTest, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consoles, "MAX_CONSOLES", 0)
    async with console(api, run_id) as client:
        assert await client.receive() == '{"failed": "0 consoles are open on this node; close some"}'
        await client.receive()


@pytest.mark.parametrize("sent", [b"\x07x", '{"resize": {"columns": 0, "rows": 1}}', "[]", "{", '{"x": 1}'])
async def test_nonsense_closes_it_with_a_reason(api: ApiUnderTest, run_id: str, sent: bytes | str) -> None:
    async with console(api, run_id) as client:
        await client.receive()
        await client.receive()
        await client.send(sent)
        closed: Any = await client.receive()
        assert closed[0] == 4422
        assert closed[1]


async def test_refusals_say_why(api: ApiUnderTest, run_id: str) -> None:
    async with console(api, "none") as client:
        assert await client.receive() == (4404, 'there is no run "none"; gamekeeper runs ls lists them')
    await api.http.post(f"/runs/{run_id}/cancel")
    await api.until_run(run_id, "canceled")
    async with console(api, run_id) as client:
        reason = f'step "work" of run {run_id} has no running container: it is canceled'
        assert await client.receive() == (4409, reason)


@pytest.mark.parametrize(
    ("query", "word"),
    [([], "command"), ([("command", "sh"), ("columns", "0")], "columns"), ([("other", "1")], "other")],
)
async def test_a_query_that_is_wrong_is_told_by_a_close(
    api: ApiUnderTest, run_id: str, query: list[tuple[str, str]], word: str
) -> None:
    """A browser tells its programs nothing of a handshake that was refused."""
    path = f"/api/v1/runs/{run_id}/steps/work/exec"
    async with websocket(api.process.app, path, query, ADMIN_KEY) as client:
        closed: Any = await client.receive()
        assert closed[0] == 4422
        assert word in closed[1]


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_every_websocket_needs_a_key(api: ApiUnderTest, key: str) -> None:
    paths = [
        str(route.path).format(run_id="x", step="x", instance_id="x")
        for route in iter_route_contexts(api.process.app.routes)
        if isinstance(route.route, APIWebSocketRoute)
    ]
    assert len(paths) == 4
    for path in paths:
        async with websocket(api.process.app, path, [("command", "sh")], key) as client:
            closed: Any = await client.receive()
            assert closed[0] == 4401, path
