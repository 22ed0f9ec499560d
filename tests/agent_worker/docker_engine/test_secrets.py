"""Secrets of containers on Docker: variables and files of the one that names them, and nothing of them elsewhere."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.mounts.secret_files import SECRETS_FOLDER
from agent_worker.secrets.held import SecretsOfContainers
from gamekeeper.errors import SecretError
from gamekeeper.ports.container_engine import NameTakenError, NewContainer
from tests.factories import make_console, make_new_container, make_owner
from tests.hang import HANG_SECONDS

SEES = 'echo "$RCON"; cat /run/secrets/rcon /etc/game/rcon; stat -c "%a %u %g" /etc/game/rcon; touch /run/secrets/rcon'
NAMED = [
    {"secret": "rcon", "env": "RCON"},
    "rcon",
    {"secret": "rcon", "path": "/etc/game/rcon", "mode": "0440", "uid": 1000, "gid": 1001},
]


class Secrets:
    """An engine that is told what it holds, and Docker itself to ask."""

    def __init__(self, engine: DockerEngine, held: SecretsOfContainers, image: str) -> None:
        self.engine, self.held, self.image = engine, held, image
        self.docker = docker.from_env()

    def new(self, script: str = SEES, value: bytes = b"s3cret-value", **spec: Any) -> NewContainer:
        fields: dict[str, Any] = {"image": self.image, "command": ["sh", "-c", script], "secrets": NAMED} | spec
        new = make_new_container(make_owner(node=self.engine._node), **fields)
        return replace(new, secrets=len(new.spec.secrets), values={"rcon": value})

    async def log(self, container_id: str) -> str:
        """All that it writes, as Docker has it."""
        async with asyncio.timeout(HANG_SECONDS):
            await self.engine.wait(container_id)
        return bytes(self.docker.api.logs(container_id)).decode()

    def place(self, new: NewContainer) -> Path:
        return Path(SECRETS_FOLDER) / self.engine._node / new.owner.key.container_name


@pytest.fixture
def secrets(docker_engine: DockerEngine, test_image: str) -> Iterator[Secrets]:
    held = SecretsOfContainers()
    engine = DockerEngine(docker_engine._node, held=held)
    found = Secrets(engine, held, test_image)
    yield found
    found.docker.close()
    engine.close()


async def test_a_container_has_its_secrets_as_it_names_them(secrets: Secrets) -> None:
    new = secrets.new()
    container_id = await secrets.engine.create(new)
    shown = secrets.docker.api.inspect_container(container_id)
    await secrets.engine.start(container_id)
    log = await secrets.log(container_id)
    assert "s3cret-value\ns3cret-values3cret-value440 1000 1001\n" in log
    assert "Read-only file system" in log
    assert "s3cret-value" not in json.dumps(shown["Config"]["Labels"]) + json.dumps(shown["HostConfig"])
    assert json.loads(shown["Config"]["Labels"]["gamekeeper.named_secrets"])[0] == NAMED[0]


async def test_nothing_of_it_is_left_when_the_container_is_removed(secrets: Secrets) -> None:
    new = secrets.new()
    container_id = await secrets.engine.create(new)
    assert secrets.place(new).is_dir()
    assert secrets.held.masker(new.owner.key.container_name) is not None
    await secrets.engine.remove(container_id)
    assert not secrets.place(new).exists()
    assert secrets.held.masker(new.owner.key.container_name) is None


async def test_another_container_of_the_name_leaves_the_files_alone(secrets: Secrets) -> None:
    new = secrets.new("cat /run/secrets/rcon")
    container_id = await secrets.engine.create(new)
    with pytest.raises(NameTakenError):
        await secrets.engine.create(replace(new, values={"rcon": b"another"}))
    await secrets.engine.start(container_id)
    assert await secrets.log(container_id) == "s3cret-value"


async def test_what_can_not_be_made_leaves_no_files(secrets: Secrets) -> None:
    new = secrets.new(image="missing.invalid/image:1")
    with pytest.raises(Exception, match="missing"):
        await secrets.engine.create(new)
    assert not secrets.place(new).exists()
    new = secrets.new(value=b"a\0b")
    with pytest.raises(SecretError, match='the secret "rcon" is no text'):
        await secrets.engine.create(new)
    assert not secrets.place(new).exists()


async def test_a_start_takes_newer_files_and_no_newer_variables(secrets: Secrets) -> None:
    new = secrets.new("cat /run/secrets/rcon")
    container_id = await secrets.engine.create(new)
    newer = {"rcon": b"newer-value"}
    assert await secrets.engine.keeps_secrets(container_id, new.values)
    assert not await secrets.engine.keeps_secrets(container_id, newer)
    await secrets.engine.start(container_id, newer)
    assert await secrets.log(container_id) == "newer-value"


async def test_a_container_of_an_earlier_agent_is_known_again(secrets: Secrets) -> None:
    new, lost = secrets.new("sleep 60"), secrets.new("sleep 60")
    ids = [await secrets.engine.create(each) for each in (new, lost)]
    names = [each.owner.key.container_name for each in (new, lost)]
    for file in secrets.place(lost).iterdir():
        file.unlink()
    stray = secrets.place(new).parent / f"gk-gone-{uuid.uuid4().hex[:6]}"
    stray.mkdir()
    held = SecretsOfContainers()
    later = DockerEngine(secrets.engine._node, held=held)
    assert await later.keeps_secrets(ids[0], None)
    assert not await later.keeps_secrets(ids[1], None)
    await later.release_host_folders()
    masker, withheld = held.masker(names[0]), held.masker(names[1])
    assert masker is not None
    assert masker.spans(b"it is s3cret-value here")
    assert withheld is not None
    assert withheld.spans(b"anything")  # nobody knows what to hide, so all of it is
    assert not stray.exists()
    info = await later.find(ids[0])
    assert info is not None
    assert info.secrets == len(NAMED)
    later.close()


async def test_a_look_into_an_ended_container_has_none_of_its_secrets(secrets: Secrets) -> None:
    new = secrets.new("true")
    container_id = await secrets.engine.create(new)
    await secrets.engine.start(container_id)
    async with asyncio.timeout(HANG_SECONDS):
        await secrets.engine.wait(container_id)
    console = await secrets.engine.look_in(
        container_id, make_console("sh", "-c", "env; cat /run/secrets/* /etc/game/*")
    )
    made = [item for item in secrets.docker.api.containers(all=True) if "-look-" in item["Names"][0]]
    images = [json.dumps(secrets.docker.images.get(item["ImageID"]).attrs) for item in made]
    text = b""
    async with asyncio.timeout(HANG_SECONDS):
        while (piece := await console.read()) is not None:
            text += piece.data
    await console.close()
    assert images
    assert "s3cret-value" not in text.decode() + "".join(images)
