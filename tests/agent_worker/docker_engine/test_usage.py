"""The use of a container, as a real engine tells it."""

from __future__ import annotations

import asyncio

from agent_worker.docker_engine import DockerEngine
from tests.factories import make_new_container, make_owner
from tests.hang import HANG_SECONDS

# Again and again, until the events are listened to. The score makes the kernel take the child, not the shell.
HUNGRY = "while true; do (echo 1000 > /proc/self/oom_score_adj; x=$(yes | head -c 90000000)); sleep 0.2; done"


async def test_being_out_of_memory_is_counted(docker_engine: DockerEngine, test_image: str) -> None:
    new = make_new_container(
        make_owner(node=docker_engine._node),
        image=test_image,
        command=["sh", "-c", HUNGRY],
        deploy={"resources": {"limits": {"memory": "24m"}}},
    )
    container_id = await docker_engine.create(new)
    waiting = asyncio.create_task(docker_engine.wait(container_id))  # which follows the engine's events
    await asyncio.sleep(0)
    await docker_engine.start(container_id)
    async with asyncio.timeout(HANG_SECONDS):
        while not (found := [usage for usage in await docker_engine.usage() if usage.oom_events]):
            await asyncio.sleep(0.1)
    assert found[0].memory_limit_bytes == 24 * 1024 * 1024
    assert found[0].pids >= 1
    await docker_engine.stop(container_id, 0)
    await waiting
