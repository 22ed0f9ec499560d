"""The socket in the place of the engine's, on Docker: clients find their own project by it, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.engine_socket.view import MAX_STREAMS
from gamekeeper.domain.container.container_key import InstanceKey
from tests.factories import make_console, make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS

SOCKET = "/var/run/docker.sock"
SECRET = "hunter2"


class Projects:
    """Containers of pipelines on one node. ``client`` is what a program in one of them has."""

    def __init__(self, engine: DockerEngine, image: str) -> None:
        self.engine, self.image = engine, image
        self.ours = docker.from_env()

    async def run(self, pipeline: str, *volumes: str, **spec: Any) -> str:
        owner = make_owner(node=self.engine._node, key=make_key(), pipeline=pipeline, kind=spec.pop("kind", "job"))
        usual = {"command": ["sh", "-c", f"sleep 1000 # {SECRET}"], "environment": {"TOKEN": SECRET}}
        new = make_new_container(owner, image=self.image, volumes=list(volumes), **(usual | spec))
        container_id = await self.engine.create(new)
        await self.engine.start(container_id)
        return container_id

    def address(self, container_id: str) -> str:
        process = self.ours.api.inspect_container(container_id)["State"]["Pid"]
        return f"unix:///proc/{process}/root{SOCKET}"

    async def client(self, container_id: str) -> docker.DockerClient:
        address = self.address(container_id)
        return await asyncio.to_thread(docker.DockerClient, base_url=address, timeout=int(HANG_SECONDS))

    async def seen(self, container_id: str) -> set[str]:
        client = await self.client(container_id)
        try:
            return {str(found.id) for found in await asyncio.to_thread(client.containers.list)}
        finally:
            client.close()


@pytest.fixture
async def projects(docker_engine: DockerEngine, test_image: str) -> AsyncIterator[Projects]:
    made = Projects(docker_engine, test_image)
    yield made
    made.ours.close()


async def test_each_sees_its_own_project_without_secrets(projects: Projects, tmp_path: Path) -> None:
    first = await projects.run("first", f"{SOCKET}:{SOCKET}:ro")
    beside = await projects.run("first", f"{tmp_path}/d:/d", labels={"mc-router.host": "a.example"})
    second = await projects.run("second", f"{SOCKET}:{SOCKET}")
    assert await projects.seen(first) == {first, beside}
    assert await projects.seen(second) == {second}
    client = await projects.client(first)

    def look() -> str:
        found = client.containers.get(beside)
        assert found.labels["mc-router.host"] == "a.example"
        with pytest.raises(docker.errors.NotFound):
            client.containers.get(second)
        told = client.api.inspect_container(beside), client.api.containers(all=True), client.info(), client.version()
        assert client.ping()
        return json.dumps([*told, [network.attrs for network in client.networks.list()]])

    text = await asyncio.to_thread(look)
    client.close()
    for hidden in (SECRET, str(tmp_path), "/run/gamekeeper", second):
        assert hidden not in text


async def test_nothing_can_be_done_by_it(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    client = await projects.client(own)

    def try_all() -> None:
        for act in (
            lambda: client.api.stop(own),
            lambda: client.api.exec_create(own, "id"),
            lambda: client.api.create_container(projects.image),
            lambda: client.api.remove_container(own, force=True),
            lambda: client.api.logs(own),
            lambda: client.api.get_archive(own, "/etc"),
            lambda: client.api.images(),
            lambda: client.api.volumes(),
            lambda: client.api.create_network("x"),
        ):
            with pytest.raises(docker.errors.APIError) as refused:
                act()
            assert refused.value.status_code == 403

    await asyncio.to_thread(try_all)
    client.close()
    info = await projects.engine.find(own)
    assert info is not None
    assert info.status.value == "running"


async def test_events_are_of_the_own_project(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    client = await projects.client(own)
    since = math.floor(time.time())
    other, beside = await projects.run("second"), await projects.run("first")
    await projects.engine.stop(beside, 0)

    def heard() -> list[dict[str, Any]]:
        return list(client.events(decode=True, since=since, until=math.ceil(time.time())))

    events = await asyncio.to_thread(heard)
    client.close()
    told = {(event["Actor"]["ID"], event["Action"]) for event in events}
    assert {(beside, "start"), (beside, "die")} <= told
    assert {id_ for id_, _ in told} <= {own, beside}
    assert SECRET not in json.dumps(events)
    assert other not in json.dumps(events)


async def test_a_stream_of_events_misses_none_and_goes_with_its_client(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    for _ in range(MAX_STREAMS + 2):
        client = await projects.client(own)
        stream = await asyncio.to_thread(client.events, decode=True, filters={"type": "container"})
        other, beside = await projects.run("second"), await projects.run("first")
        first = await asyncio.wait_for(asyncio.to_thread(next, stream), HANG_SECONDS)
        assert first["Actor"]["ID"] == beside != other
        stream.close()
        client.close()


async def test_the_docker_command_lists_and_inspects(projects: Projects) -> None:
    assert shutil.which("docker"), "the docker command is missing: apt-get install docker.io"
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    other = await projects.run("second")
    address = projects.address(own)

    async def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["docker", "-H", address, *words]
        return await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=HANG_SECONDS, env=dict(os.environ)
        )

    listed = await call("ps", "-a", "--no-trunc", "--format", "{{.ID}}")
    assert (listed.stdout.split(), listed.returncode) == ([own], 0), listed.stderr
    shown = await call("inspect", "--format", "{{.State.Status}}", own)
    assert (shown.stdout.strip(), shown.returncode) == ("running", 0), shown.stderr
    assert (await call("inspect", other)).returncode != 0
    stopped = await call("stop", own)
    assert "is not answered here" in stopped.stderr


async def test_it_goes_on_with_the_next_agent(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    for _ in range(3):
        projects.engine._mounts._sockets.close_all()
        with pytest.raises(docker.errors.DockerException):
            await projects.seen(own)
        after = DockerEngine(projects.engine._node)
        try:
            await after.release_host_folders()
            assert await projects.seen(own) == {own}
        finally:
            after.close()
    await projects.engine.release_host_folders()
    assert await projects.seen(own) == {own}


async def test_it_goes_on_in_what_docker_started_again(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}", restart="always", kind="service")
    for _ in range(2):
        projects.ours.api.restart(own, timeout=0)
        assert await projects.seen(own) == {own}
        projects.engine._mounts._sockets.close_all()
        await projects.engine.release_host_folders()
        assert await projects.seen(own) == {own}


async def test_the_mounts_go_with_the_container(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    await projects.engine.stop(own, 0)
    await projects.engine.start(own)
    assert await projects.seen(own) == {own}
    await projects.engine.stop(own, 0)
    await projects.engine.remove(own)
    assert f"/run/gamekeeper/mounts/{projects.engine._node}/" not in Path("/proc/self/mountinfo").read_text()


async def test_instances_of_a_group_see_one_another(projects: Projects) -> None:
    await projects.engine.ensure_group("gk-test-lan")
    ids = []
    for name, group in (("one", "gk-g-gk-test-lan"), ("two", "gk-g-gk-test-lan"), ("three", None)):
        key = InstanceKey(instance=f"{projects.engine._node}-{name}", revision=1)
        owner = make_owner(node=projects.engine._node, key=key, pipeline="")
        new = make_new_container(owner, image=projects.image, command=["sleep", "1000"], volumes=[f"{SOCKET}:{SOCKET}"])
        ids.append(await projects.engine.create(replace(new, network=group)))
        await projects.engine.start(ids[-1])
    one, two, three = ids
    assert await projects.seen(one) == await projects.seen(two) == {one, two}
    assert await projects.seen(three) == {three}


async def test_a_console_in_an_ended_container_has_no_socket(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}", command=["true"])
    await projects.engine.wait(own)
    console = await projects.engine.look_in(own, make_console("sh", "-c", f"test -S {SOCKET} && exit 7; exit 8"))
    async with asyncio.timeout(HANG_SECONDS):
        while await console.read() is not None:
            pass
        assert await console.exit_code() == 8
    await console.close()
