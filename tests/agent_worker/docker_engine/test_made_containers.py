"""Keys of a container that only the container shows: looked at from inside, or beside what its image says."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from agent_worker.docker_engine import DockerEngine
from gamekeeper.ports.container_engine import Health
from tests.factories import make_console, make_key, make_new_container, make_owner
from tests.fixtures.docker import image_root
from tests.hang import HANG_SECONDS


async def output_of(engine: DockerEngine, image: str, **spec: Any) -> bytes:
    """All that a container writes until it has ended."""
    new = make_new_container(make_owner(node=engine._node), **({"image": image} | spec))
    container_id = await engine.create(new)
    await engine.start(container_id)
    async with asyncio.timeout(HANG_SECONDS):
        await engine.wait(container_id)
        return await log_of(engine, container_id)


async def log_of(engine: DockerEngine, container_id: str) -> bytes:
    batches = [batch async for batch in engine.read_logs(container_id, 0, follow=False)]
    return b"".join(line.data for batch in batches for line in batch)


@pytest.fixture
async def own_image(docker_engine: DockerEngine, test_image: str) -> AsyncIterator[str]:
    """An image with an entrypoint, a variable and a health check of its own."""
    repository, tag = f"gamekeeper/own-{uuid.uuid4().hex[:8]}", "1"
    changes = [
        'ENTRYPOINT ["false"]',
        "ENV FROM_IMAGE=yes",
        "HEALTHCHECK --interval=100ms --timeout=7s --retries=50 CMD cat /tmp/healthy",
    ]
    docker_engine._api.import_image_from_data(image_root(), repository=repository, tag=tag, changes=changes)
    yield f"{repository}:{tag}"
    for info in await docker_engine.list_owned():
        await docker_engine.stop(info.id, 0)
        await docker_engine.remove(info.id)
    docker_engine._api.remove_image(f"{repository}:{tag}", force=True)


async def test_a_terminals_log_is_read_as_it_was_written(docker_engine: DockerEngine, test_image: str) -> None:
    """There are no frames around its lines, and a line over 16 KiB comes in parts."""
    long = "test -t 1 && echo terminal; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'no newline'"
    written = await output_of(docker_engine, test_image, tty=True, entrypoint=["sh", "-c"], command=[long])
    assert written.replace(b"\r\n", b"\n") == b"terminal\nerr\n" + b"x" * 40_000 + b"\nno newline"


async def test_a_terminals_log_is_followed_and_its_last_line_read(docker_engine: DockerEngine, test_image: str) -> None:
    script = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done"
    new = make_new_container(
        make_owner(node=docker_engine._node), image=test_image, tty=True, command=["sh", "-c", script]
    )
    container_id = await docker_engine.create(new)
    await docker_engine.start(container_id)
    async with asyncio.timeout(HANG_SECONDS):
        batches = [batch async for batch in docker_engine.read_logs(container_id, 0, follow=True)]
    lines = [line for batch in batches for line in batch]
    assert [line.data for line in lines] == [b"line %d\r\n" % number for number in range(500)]
    docker_engine._known.made.clear()  # as after a restart of the agent
    assert await docker_engine.last_log_lines(container_id, 1) == lines[-1:]


@pytest.mark.parametrize("entrypoint", ["", []])
async def test_an_empty_entrypoint_takes_the_images_own_away(
    docker_engine: DockerEngine, own_image: str, entrypoint: Any
) -> None:
    command = ["sh", "-c", "echo $FROM_IMAGE"]
    assert await output_of(docker_engine, own_image, entrypoint=entrypoint, command=command) == b"yes\n"


async def test_a_variable_without_a_value_takes_the_images_own_away(
    docker_engine: DockerEngine, own_image: str
) -> None:
    spec = {"entrypoint": ["sh", "-c"], "command": ['echo ${FROM_IMAGE-unset} "${EMPTY-unset}"']}
    written = await output_of(docker_engine, own_image, environment=["FROM_IMAGE", "EMPTY="], **spec)
    assert written == b"unset \n"


async def test_a_health_check_keeps_what_the_image_says(docker_engine: DockerEngine, own_image: str) -> None:
    """Its 50 tries among that: with Docker's own 3 the container would be unhealthy first."""
    script = "sleep 1; touch /tmp/healthy; exec sleep 60"
    spec: dict[str, Any] = {"entrypoint": ["sh", "-c"], "command": [script], "healthcheck": {"interval": "200ms"}}
    owner = make_owner(node=docker_engine._node, kind="service")
    container_id = await docker_engine.create(make_new_container(owner, image=own_image, **spec))
    await docker_engine.start(container_id)
    seen = set[Health]()
    async with asyncio.timeout(HANG_SECONDS):
        while (info := await docker_engine.find(container_id)) is not None and info.health is not Health.HEALTHY:
            seen.add(info.health)
            await asyncio.sleep(0.02)
    assert seen == {Health.STARTING}


@pytest.mark.parametrize("check", [{"disable": True}, {"test": ["NONE"]}, {"test": "NONE"}], ids=str)
async def test_the_images_health_check_can_be_switched_off(
    docker_engine: DockerEngine, own_image: str, check: dict[str, Any]
) -> None:
    spec: dict[str, Any] = {"entrypoint": ["sh", "-c"], "command": ["exec sleep 60"], "healthcheck": check}
    owner = make_owner(node=docker_engine._node, kind="service")
    container_id = await docker_engine.create(make_new_container(owner, image=own_image, **spec))
    await docker_engine.start(container_id)
    info = await docker_engine.find(container_id)
    assert info is not None
    assert info.health is Health.NONE


async def test_a_container_is_reached_by_all_its_names(docker_engine: DockerEngine, test_image: str) -> None:
    """By those of its step, its ``hostname`` and its ``container_name``."""
    run_id = make_key().run_id
    network = f"gk-{run_id}"
    await docker_engine.ensure_network(network, run_id)

    async def started(step: str, script: str, **spec: Any) -> str:
        owner = make_owner(key=make_key(run_id=run_id, step=step), node=docker_engine._node)
        new = make_new_container(owner, image=test_image, command=["sh", "-c", script], **spec)
        container_id = await docker_engine.create(replace(new, network=network, alias=step))
        await docker_engine.start(container_id)
        return container_id

    page = "echo reached > /tmp/page; exec httpd -f -p 80 -h /tmp"
    await started("server", page, hostname="arena", container_name="mc")
    asks = "for name in server arena mc; do until wget -q -O - http://$name/page 2>&1; do sleep 0.1; done; done"
    client = await started("client", asks)
    async with asyncio.timeout(HANG_SECONDS):
        await docker_engine.wait(client)
    assert (await log_of(docker_engine, client)).split().count(b"reached") == 3


async def test_an_ended_container_with_every_key_can_be_looked_into(
    docker_engine: DockerEngine, test_image: str
) -> None:
    spec: dict[str, Any] = {
        "tty": True,
        "command": ["sh", "-c", "echo kept > /kept; echo kept > /anonymous/kept"],
        "environment": {"TZ": None, "A": "1"},
        "group_add": ["44"],
        "runtime": "runc",
        "sysctls": {"net.core.somaxconn": 1024},
        "cpuset": "0",
        "cpu_shares": 512,
        "oom_score_adj": 500,
        "device_cgroup_rules": ["c 13:* rmw"],
        "dns_search": ["example.org"],
        "dns_opt": ["ndots:1"],
        "extra_hosts": {"backend": "10.0.0.7"},
        "domainname": "example.org",
        "hostname": "arena",
        "volumes": ["/anonymous", {"type": "tmpfs", "target": "/memory"}],
        "ports": ["80", "90-91/udp"],
    }
    new = make_new_container(make_owner(node=docker_engine._node), image=test_image, **spec)
    container_id = await docker_engine.create(new)
    await docker_engine.start(container_id)
    async with asyncio.timeout(HANG_SECONDS):
        await docker_engine.wait(container_id)
        script = "cat /kept /anonymous/kept; cat /proc/sys/net/core/somaxconn"
        console = await docker_engine.look_in(container_id, make_console("sh", "-c", script))
        written = b""
        while (piece := await console.read()) is not None:
            written += piece.data
        await console.close()
    assert written.split() == [b"kept", b"kept", b"1024"]
    volumes = [mount["Name"] for mount in docker_engine._api.inspect_container(container_id)["Mounts"]]
    assert [docker_engine._api.inspect_volume(name)["Name"] for name in volumes] == volumes  # not gone with the console
