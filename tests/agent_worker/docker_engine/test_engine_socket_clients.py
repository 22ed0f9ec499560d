"""The requests of programs that look for servers, as they send them, and the fields of the answers that they read."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import socket
import subprocess
import time
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import quote

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.docker_engine.connection import STREAMS
from agent_worker.docker_engine.project_engine import ProjectEngine
from gamekeeper.errors import GamekeeperError, UnavailableError
from tests.agent_worker.docker_engine.test_engine_socket import SOCKET, Projects, projects
from tests.hang import HANG_SECONDS

__all__ = ["projects"]

ROUTED = {"mc-router.host": "a.example", "traefik.enable": "true"}


class GoClient(HTTPConnection):
    """Docker's client in Go, of mc-router and traefik: one connection that is kept, and its headers."""

    def __init__(self, address: str, agent: str) -> None:
        super().__init__("localhost", timeout=HANG_SECONDS)
        self._address = address.removeprefix("unix://")
        self._headers = {"Host": "api.moby.localhost", "User-Agent": agent, "Accept-Encoding": "gzip"}
        self._version = ""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(HANG_SECONDS)
        self.sock.connect(self._address)

    def negotiate(self) -> None:
        answer = self.ask("HEAD", "/_ping")
        assert (answer.status, answer.read()) == (200, b"")
        self._version = f"/v{answer.getheader('API-Version')}"
        assert re.fullmatch(r"/v1\.\d+", self._version)

    def ask(self, method: str, path: str) -> HTTPResponse:
        self.request(method, self._version + path, headers=self._headers)
        return self.getresponse()

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        body = json.loads(answer.read())
        assert answer.status == 200, body
        return body


def filters(**named: list[str]) -> str:
    """As that client spells them."""
    return "filters=" + quote(json.dumps({name: dict.fromkeys(values, True) for name, values in named.items()}))


async def test_mc_router_finds_servers_and_hears_of_new_ones(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}:ro")
    server = await projects.run("first", labels=ROUTED, ports=["25565"])
    await projects.run("second", labels=ROUTED)
    address = projects.address(own)
    client, listening = GoClient(address, "mc-router "), GoClient(address, "mc-router ")

    def find() -> set[str]:
        client.negotiate()
        return {check_server(client, found["Id"]) for found in client.get("/containers/json?all=1")}

    def listen() -> HTTPResponse:
        listening.negotiate()
        events = "start unpause stop die pause destroy rename connect disconnect".split()
        return listening.ask("GET", "/events?" + filters(type=["container", "network"], event=events))

    def check_server(client: GoClient, id_: str) -> str:
        found = client.get(f"/containers/{id_}/json")
        if "mc-router.host" not in found["Config"]["Labels"]:
            return ""
        (endpoint,) = found["NetworkSettings"]["Networks"].values()
        assert re.fullmatch(r"[0-9.]+", endpoint["IPAddress"])
        assert endpoint["GlobalIPv6Address"] == ""
        assert len(endpoint["NetworkID"]) == 64
        assert (found["State"]["Running"], found["State"]["Paused"]) == (True, False)
        return str(found["Id"])

    assert await asyncio.to_thread(find) == {"", server}
    stream = await asyncio.to_thread(listen)
    assert stream.status == 200
    later = await projects.run("first", labels=ROUTED)
    first = json.loads(await asyncio.to_thread(stream.readline))
    assert (first["Type"], first["Action"], first["Actor"]["ID"]) == ("container", "start", later)
    assert await asyncio.to_thread(check_server, client, later) == later
    refused = await asyncio.to_thread(client.ask, "POST", f"/containers/{server}/start")
    assert refused.status == 403
    client.close()
    listening.close()
    stream.close()


async def test_traefik_finds_servers(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}:ro")
    server = await projects.run("first", labels=ROUTED, expose=["80"], ports=["25565"])
    client = GoClient(projects.address(own), "Traefik dev")

    def look() -> Any:
        client.negotiate()
        assert {"Version", "ApiVersion"} <= set(client.get("/version"))
        assert {found["Id"] for found in client.get("/containers/json?all=1")} == {own, server}
        assert client.ask("GET", "/containers/" + "0" * 64 + "/json").read()
        return client.get(f"/containers/{server}/json")

    found = await asyncio.to_thread(look)
    client.close()
    assert found["Name"].startswith("/gk-")
    assert found["State"]["Status"] == "running"
    assert found["Config"]["Labels"]["traefik.enable"] == "true"
    assert set(found["NetworkSettings"]["Ports"]) == {"80/tcp", "25565/tcp"}
    assert found["NetworkSettings"]["Ports"]["25565/tcp"][0]["HostPort"]
    assert set(found["NetworkSettings"]["Networks"]) == {found["HostConfig"]["NetworkMode"]}


async def test_the_docker_command_shows_all_that_there_is(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    beside = await projects.run("first", labels=ROUTED)
    other = await projects.run("second", labels=ROUTED)
    address, since = projects.address(own), str(math.floor(time.time()) - 300)

    async def say(*words: str) -> str:
        command = ["docker", "-H", address, *words]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=HANG_SECONDS, env=dict(os.environ)
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    ids = ("ps", "-aq", "--no-trunc")
    assert set((await say(*ids)).split()) == {own, beside}
    assert (await say(*ids, "--filter", "label=mc-router.host=a.example")).split() == [beside]
    assert (await say(*ids, "--filter", f"id={own[:12]}")).split() == [own]
    assert (await say(*ids, "--filter", "name=^/gk-", "-n", "1")).split() == [beside]
    assert "Server Version" in await say("info")
    assert "API version" in await say("version")
    network = json.loads(await say("network", "inspect", "bridge"))[0]
    assert network["Containers"] == {}
    assert (await say("network", "ls", "--format", "{{.Name}}")).split() == ["bridge"]
    events = await say("events", "--since", since, "--until", str(math.ceil(time.time())), "--filter", "event=start")
    assert beside in events
    assert other not in events


@pytest.fixture
def asking(docker_engine: DockerEngine) -> ProjectEngine:
    return docker_engine._mounts._sockets._asking


async def test_streams_of_events_leave_neither_threads_nor_descriptors(asking: ProjectEngine) -> None:
    def sockets() -> int:
        links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
        return sum(os.path.lexists(link) and os.readlink(link).startswith("socket:") for link in links)

    async def listen() -> None:
        events = asking.events({}, None, None)
        assert await anext(events) == {}
        await events.aclose()

    await listen()
    before = sockets()
    for _ in range(10):
        await listen()
    assert sockets() <= before
    assert asking._events._open == 0


async def test_a_stream_that_the_engine_refuses_says_so(asking: ProjectEngine) -> None:
    with pytest.raises(GamekeeperError):
        await anext(asking.events({}, "nonsense", None))
    assert asking._events._open == 0
    asking._events._open = STREAMS
    with pytest.raises(UnavailableError, match="too many"):
        await anext(asking.events({}, None, None))
