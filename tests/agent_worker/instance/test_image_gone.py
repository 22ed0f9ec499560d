"""An image that is gone while its instance is stopped: it comes again, or the words say what to do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import docker
import pytest
from docker.errors import ImageNotFound

from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from tests.agent_worker.instance.node import KeptNode

SCRIPT = "trap 'exit 0' TERM; sleep 600 & wait"


class Image:
    """An image of a test's own: its layer is no other's, so that its last name takes all of it away."""

    def __init__(self, name: str, base: str) -> None:
        self.name = name
        self._client = docker.from_env()
        container = self._client.containers.create(base, ["true"])
        container.commit(*name.rsplit(":", 1), changes=f"LABEL test={uuid.uuid4().hex}")
        container.remove(force=True)

    def push(self) -> None:
        assert "error" not in str(self._client.images.push(self.name))

    def take_away(self) -> None:
        """As ``docker rmi -f`` does, also of an image that a stopped container has."""
        self._client.images.remove(self.name, force=True)

    def close(self) -> None:
        with suppress(ImageNotFound):
            self.take_away()
        self._client.close()


@pytest.fixture
def image(registry: str, test_image: str) -> Iterator[Image]:
    made = Image(f"{registry}/gamekeeper/gone-{uuid.uuid4().hex[:8]}:1", test_image)
    yield made
    made.close()


def server(node: KeptNode, image: Image) -> InstanceSpec:
    return node.spec(container={"image": image.name, "command": ["sh", "-c", SCRIPT]})


async def test_a_stopped_container_starts_without_its_image(docker_node: KeptNode, image: Image) -> None:
    """The engine keeps the layers for as long as the container is there."""
    node, spec = docker_node, server(docker_node, image)
    assert (await node.order(spec=spec)).is_ready
    await node.order(Desired.STOPPED, spec=spec)
    image.take_away()
    assert (await node.order(spec=spec)).is_ready


async def test_an_image_that_the_registry_has_comes_again(docker_node: KeptNode, image: Image) -> None:
    image.push()
    node, spec = docker_node, server(docker_node, image)
    assert (await node.order(spec=spec)).is_ready
    await node.order(Desired.STOPPED, spec=spec)
    first = await node.found()
    await node.engine.remove(first.id)  # somebody cleaned up: both are gone
    image.take_away()
    assert (await node.order(spec=spec)).is_ready
    assert (await node.found()).id != first.id
    assert any(status.message.startswith(f"pulling {image.name}") for status in node.told)


async def test_an_image_that_is_pruned_as_soon_as_it_comes_is_pulled_again(
    docker_node: KeptNode, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    image.push()
    image.take_away()
    node, pull = docker_node, docker_node.engine.pull
    pulls = 0

    async def pruned(*arguments: Any) -> None:
        nonlocal pulls
        await pull(*arguments)
        pulls += 1
        if pulls < 3:
            image.take_away()

    monkeypatch.setattr(node.engine, "pull", pruned)
    assert (await node.order(spec=server(node, image))).is_ready
    assert (pulls, [status for status in node.told if status.reason]) == (3, [])


async def test_an_image_that_nobody_has_fails_with_words_that_help(docker_node: KeptNode, image: Image) -> None:
    """It is tried on, so that loading the image is all that has to be done."""
    node, spec = docker_node, server(docker_node, image)
    assert (await node.order(spec=spec)).is_ready
    await node.order(Desired.STOPPED, spec=spec)
    await node.engine.remove((await node.found()).id)
    image.take_away()
    failed = (await node.order(spec=spec)).status
    assert (failed.state, failed.reason) == (InstanceState.FAILED, InstanceReason.PULL_FAILED)
    assert f"image {image.name} can't be pulled" in failed.message
    assert f"docker pull {image.name}; without a registry" in failed.message
    assert failed.message.endswith("it is tried again")
    again = Image(image.name, node.image)
    node.ahead += 600
    node.keeper._kept[node.instance].stir()
    await node.until(lambda status: status.state is InstanceState.READY and status.seq > failed.seq)
    again.close()
