"""Pulling from a real registry: progress, single flight, the engine's own words, and a limit on silence."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from agent_worker.docker_engine import DockerEngine
from gamekeeper.domain.container.registry_login import RegistryLogin
from gamekeeper.errors import ImageError
from tests.fixtures.registry import LOGIN
from tests.hang import HANG_SECONDS

LAYER_BYTES = 40_000_000


@pytest.fixture
def pushed(registry: str, test_image: str) -> Iterator[str]:
    """An image with a layer that takes a moment, in the registry and no longer here."""
    client = docker.from_env()
    name = f"{registry}/gamekeeper/pulled:1"
    container = client.containers.create(test_image, ["sh", "-c", f"head -c {LAYER_BYTES} /dev/urandom > /layer"])
    try:
        container.start()
        container.wait()
        container.commit(name.rpartition(":")[0], "1")
    finally:
        container.remove(force=True)
    assert "error" not in str(client.images.push(name))
    client.images.remove(name, force=True)
    yield name
    client.images.remove(name, force=True)
    client.close()


async def test_a_pull_tells_its_progress_and_is_made_once(docker_engine: DockerEngine, pushed: str) -> None:
    told: list[tuple[str, int]] = []

    def listen(text: str) -> None:
        told.append((text, threading.get_ident()))

    assert not await docker_engine.has_image(pushed)
    await asyncio.gather(*[docker_engine.pull(pushed, listen, 30) for _ in range(5)])
    assert await docker_engine.has_image(pushed)
    assert any(text.startswith(f"pulling {pushed}: ") for text, _ in told)
    assert {thread for _, thread in told} == {threading.get_ident()}  # who listens may touch what is the loop's


async def test_what_a_registry_refuses_is_told_in_its_words(docker_engine: DockerEngine, registry: str) -> None:
    with pytest.raises(ImageError, match=r"missing:1 can't be pulled: .*(unknown|not found)"):
        await docker_engine.pull(f"{registry}/gamekeeper/missing:1", lambda _: None, 30)


async def test_a_silent_registry_is_given_up(docker_engine: DockerEngine, silent_registry: str) -> None:
    with pytest.raises(ImageError, match="nothing moved for 1 s"):
        await asyncio.wait_for(docker_engine.pull(f"{silent_registry}/x:1", lambda _: None, 1), HANG_SECONDS)


@pytest.fixture
def locked(locked_registry: str, test_image: str) -> Iterator[str]:
    """An image that only somebody with the credentials gets, and that is no longer here."""
    client = docker.from_env()
    name = f"{locked_registry}/gamekeeper/locked:1"
    client.images.get(test_image).tag(name)
    login = {"username": LOGIN.username, "password": LOGIN.password}
    assert "error" not in str(client.images.push(name, auth_config=login))
    client.images.remove(name, force=True)
    yield name
    if client.images.list(name):
        client.images.remove(name, force=True)
    client.close()


async def test_credentials_go_with_a_pull_and_are_kept_nowhere(docker_engine: DockerEngine, locked: str) -> None:
    settings = Path.home() / ".docker" / "config.json"
    before = settings.read_bytes() if settings.exists() else b""
    with pytest.raises(ImageError, match=r"locked:1 can't be pulled: .*(no basic auth|unauthorized|denied)"):
        await docker_engine.pull(locked, lambda _: None, 30)
    wrong = RegistryLogin(LOGIN.username, "wr0ng-word")
    with pytest.raises(ImageError, match="can't be pulled") as caught:
        await docker_engine.pull(locked, lambda _: None, 30, wrong)
    assert "wr0ng-word" not in str(caught.value)
    assert not await docker_engine.has_image(locked)
    told: list[str] = []
    await docker_engine.pull(locked, told.append, 30, LOGIN)
    assert await docker_engine.has_image(locked)
    assert LOGIN.password not in "".join(told)
    assert (settings.read_bytes() if settings.exists() else b"") == before
