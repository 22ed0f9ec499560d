"""Named volumes on Docker that are a host path in a volume's clothes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from agent_worker.docker_engine import DockerEngine
from gamekeeper.errors import PolicyError
from gamekeeper.ports.container_engine import NewContainer
from tests.factories import make_key, make_new_container, make_owner

MARK = secrets.token_hex(4)


@pytest.fixture
def volumes() -> Iterator[docker.DockerClient]:
    """Docker; the volumes of this process's tests go after their containers, for which it stands first."""
    client = docker.from_env()
    yield client
    for volume in client.volumes.list():
        if MARK in volume.name:
            volume.remove()
    client.close()


def new(engine: DockerEngine, image: str, pipeline: str, volume: str) -> NewContainer:
    owner = make_owner(node=engine._node, key=make_key(), pipeline=pipeline)
    return make_new_container(owner, image=image, command=["true"], volumes=[volume])


@pytest.mark.parametrize(
    "options", [{"type": "none", "o": "bind"}, {"type": "ext4"}, {"type": "none", "o": "ro,rbind"}]
)
async def test_a_volume_that_is_a_host_path_is_refused(
    options: dict[str, str], volumes: docker.DockerClient, docker_engine: DockerEngine, test_image: str, tmp_path: Path
) -> None:
    name = f"theirs-{MARK}-{len(str(options))}"
    volumes.volumes.create(name, driver="local", driver_opts={**options, "device": str(tmp_path)})
    with pytest.raises(PolicyError, match=f"volume {name} is the host path {tmp_path} in disguise"):
        await docker_engine.create(new(docker_engine, test_image, "p", f"external:{name}:/x"))


async def test_a_volume_of_others_that_is_not_there_is_made_by_docker(
    volumes: docker.DockerClient, docker_engine: DockerEngine, test_image: str
) -> None:
    name = f"theirs-{MARK}-new"
    await docker_engine.create(new(docker_engine, test_image, "p", f"external:{name}:/x"))
    assert volumes.volumes.get(name).attrs["Options"] is None
