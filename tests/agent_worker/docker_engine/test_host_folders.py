"""Host folders on Docker: whoever may write beside a mount's source gets nothing else of the host by it.

Each attack was won on this engine while Docker was given the path itself.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.mounts.held_folders import RUNTIME_FOLDER
from gamekeeper.errors import GamekeeperError, PolicyError
from gamekeeper.ports.container_engine import ContainerStatus
from tests.factories import make_console, make_key, make_new_container, make_owner
from tests.fixtures.own_docker import OwnDocker, tcp_door
from tests.fixtures.swapping import exchange, restore, swapping

TRIES = int(os.environ.get("GAMEKEEPER_ATTACKS", "100"))
SECRET = "the host's own"


@dataclass
class Attack:
    """``shared`` is the folder that somebody may write to, ``source`` is in it, ``secret`` is not for anybody."""

    engine: DockerEngine
    image: str
    shared: Path
    source: Path
    secret: Path

    async def create(self, *volumes: str, command: str = "cat /d/word", **spec: Any) -> str:
        owner = make_owner(node=self.engine._node, key=make_key(), kind=spec.pop("kind", "job"))
        new = make_new_container(owner, image=self.image, command=["sh", "-c", command], volumes=list(volumes), **spec)
        return await self.engine.create(new)

    async def words(self, container_id: str) -> list[str]:
        return [line.data.decode().strip() for line in await self.engine.last_log_lines(container_id, 100)]

    def mounts(self) -> list[str]:
        """The paths that the agent holds for this node."""
        table = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in table if f"{RUNTIME_FOLDER}/mounts/{self.engine._node}/" in line]


@pytest.fixture
def attack(docker_engine: DockerEngine, test_image: str, tmp_path: Path) -> Attack:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "word").write_text(SECRET)
    source = tmp_path / "shared" / "d"
    source.mkdir(parents=True)
    (source / "word").write_text("mine")
    return Attack(docker_engine, test_image, source.parent, source, secret)


async def test_a_container_has_the_folder_that_it_asked_for(attack: Attack) -> None:
    container_id = await attack.create(f"{attack.source}:/d", command="cat /d/word; echo new > /d/other")
    await attack.engine.start(container_id)
    await attack.engine.wait(container_id)
    assert await attack.words(container_id) == ["mine"]
    assert (attack.source / "other").read_text() == "new\n"


async def test_files_and_missing_folders_are_mounted_as_docker_does_it(attack: Attack) -> None:
    new = attack.shared / "a" / "b"
    command = "cat /w; echo; echo x > /d/made; echo y > /w || echo refused"
    container_id = await attack.create(f"{attack.source}/word:/w:ro", f"{new}:/d", command=command)
    await attack.engine.start(container_id)
    await attack.engine.wait(container_id)
    words = await attack.words(container_id)
    assert {"mine", "refused"} <= set(words)
    assert (new / "made").read_text() == "x\n"


async def test_nobody_wins_a_race_with_a_start(attack: Attack) -> None:
    seen = []
    for _ in range(TRIES):
        with swapping(attack.source, attack.secret), suppress(GamekeeperError):
            container_id = await attack.create(f"{attack.source}:/d")
            await attack.engine.start(container_id)
            await attack.engine.wait(container_id)
            seen += await attack.words(container_id)
    assert SECRET not in seen
    assert "mine" in seen or TRIES < 50, "no container was started, so nothing was tried"


async def test_docker_itself_starts_nothing_again(attack: Attack) -> None:
    command = "cat /d/word; exit 1"
    container_id = await attack.create(f"{attack.source}:/d", command=command, restart="always", kind="service")
    await attack.engine.start(container_id)
    exchange(attack.source, attack.secret)
    await attack.engine.wait(container_id)
    made = attack.engine._api.inspect_container(container_id)
    assert (made["HostConfig"]["RestartPolicy"]["Name"], made["State"]["Status"]) == ("no", "exited")
    with pytest.raises(PolicyError, match="is a link"):
        await attack.engine.start(container_id)
    assert await attack.words(container_id) == ["mine"]


async def test_a_start_again_looks_anew_and_follows_no_link(attack: Attack) -> None:
    container_id = await attack.create(f"{attack.source}:/d")
    exchange(attack.source, attack.secret)
    with pytest.raises(PolicyError, match=f"{attack.source} is a link"):
        await attack.engine.start(container_id)
    restore(attack.source)
    (attack.source / "word").write_text("newer")
    await attack.engine.start(container_id)
    await attack.engine.wait(container_id)
    exchange(attack.source, attack.secret)
    for _ in range(3):
        with pytest.raises(PolicyError, match="is a link"):
            await attack.engine.start(container_id)
    assert await attack.words(container_id) == ["newer"]


async def test_a_look_into_a_held_step_follows_no_link(attack: Attack) -> None:
    container_id = await attack.create(f"{attack.source}:/d", command="exit 3")
    await attack.engine.start(container_id)
    await attack.engine.wait(container_id)
    look = await attack.engine.look_in(container_id, make_console("cat", "/d/word"))
    read = []
    while (text := await look.read()) is not None:
        read.append(text.data)
    await look.close()
    assert b"".join(read) == b"mine"
    exchange(attack.source, attack.secret)
    with pytest.raises(PolicyError, match="is a link"):
        await attack.engine.look_in(container_id, make_console("cat", "/d/word"))
    assert len(attack.mounts()) <= 1, "those of a console go with it"


@pytest.mark.parametrize("mode", ["rw", "ro"])
async def test_no_container_may_write_above_the_folder_of_one_that_runs(attack: Attack, mode: str) -> None:
    inner = await attack.create(f"{attack.source}:/d:ro", command="sleep 1000")
    outer = await attack.create(f"{attack.shared}:/x:{mode}", command="sleep 1000")
    for first, second in ((inner, outer), (outer, inner)):
        await attack.engine.start(first)
        if mode == "ro":
            await attack.engine.start(second)
        else:
            with pytest.raises(PolicyError, match=f"{attack.shared}, which a container may write to, holds"):
                await attack.engine.start(second)
        await attack.engine.stop(first, 0)
        await attack.engine.stop(second, 0)


async def test_what_is_held_goes_with_its_container_and_survives_the_agent(attack: Attack) -> None:
    gone = await attack.create(f"{attack.source}:/d")
    left = await attack.create(f"{attack.source}:/d", command="sleep 1000")
    await attack.engine.start(left)
    assert len(attack.mounts()) == 2
    await attack.engine.remove(gone)
    assert len(attack.mounts()) == 1
    after = DockerEngine(attack.engine._node)  # the agent was killed, and is there again
    try:
        await after.release_host_folders()
        assert len(attack.mounts()) == 1
        await after.stop(left, 0)
        await after.start(left)
        info = await after.find(left)
        assert info is not None
        assert info.status is ContainerStatus.RUNNING
        await after.stop(left, 0)
        await after.remove(left)
        await after.release_host_folders()
        assert attack.mounts() == []
    finally:
        after.close()
    assert not Path(RUNTIME_FOLDER, "mounts", attack.engine._node, "x").exists()


async def test_a_failure_leaves_nothing_held(attack: Attack) -> None:
    exchange(attack.source, attack.secret)
    with pytest.raises(PolicyError):
        await attack.create(f"{attack.shared}:/x", f"{attack.source}:/d")
    assert attack.mounts() == []


@pytest.mark.parametrize("path", [RUNTIME_FOLDER, "/run", f"{RUNTIME_FOLDER}/mounts/x", "/", "/var/lib/docker/volumes"])
async def test_folders_of_the_agent_and_the_engine_are_never_mounted(attack: Attack, path: str) -> None:
    with pytest.raises(PolicyError, match="which no container may have"):
        await attack.create(f"{path}:/x:ro")


async def test_a_container_of_an_older_agent_is_not_started_again(attack: Attack) -> None:
    """Docker was given the path itself: it would look where that leads by now."""
    client = docker.from_env()
    labels = {"gamekeeper.node": attack.engine._node, "gamekeeper.run": "r", "gamekeeper.step": "s"}
    labels |= {"gamekeeper.try": "1", "gamekeeper.kind": "service"}
    old = client.containers.create(
        attack.image,
        ["sleep", "1000"],
        volumes=[f"{attack.source}:/d"],
        labels=labels,
        restart_policy={"Name": "always"},
    )
    try:
        with pytest.raises(PolicyError, match="made by an agent of an older version"):
            await attack.engine.start(str(old.id))
        await attack.engine.release_host_folders()
        old.reload()
        assert old.attrs["HostConfig"]["RestartPolicy"]["Name"] == "no"
    finally:
        old.remove(force=True)
        client.close()


async def test_an_agent_that_may_hold_nothing_has_nothing_to_let_go_of(own_docker: OwnDocker) -> None:
    """As one whose engine is on another machine: the round that asks for it goes on."""
    with tcp_door(own_docker) as address:
        engine = DockerEngine("own", address)
        await engine.release_host_folders()
        engine.close()
