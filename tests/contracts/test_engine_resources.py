"""Volumes and networks of both engines: they come and go with those whose they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.dummy_engine import DummyEngine
from gamekeeper.errors import InvalidError
from gamekeeper.ports.container_engine import (
    ContainerEngine,
    group_network,
)
from tests.contracts.subject import Subject
from tests.factories import make_key, make_new_container, make_owner


async def test_run_resources_come_and_go(subject: Subject) -> None:
    run_id = make_key().run_id
    for _ in range(2):
        await subject.engine.ensure_network(f"gk-{run_id}", run_id)
        await subject.engine.ensure_volume(f"gk-{run_id}", run_id)
    assert run_id in await subject.engine.list_run_resources()
    await subject.engine.remove_run_resources(run_id)
    assert run_id not in await subject.engine.list_run_resources()


async def test_own_volumes_go_with_their_instance(subject: Subject) -> None:
    """Those that were created for it, and those that are named: none for its name alone."""
    engine, name = subject.engine, f"game-{make_key().run_id}"
    for instance in (name, f"{name}-1"):
        await engine.ensure_own_volume(f"gk-i-{instance}.data", instance)
    await engine.ensure_own_volume(f"gk-i-{name}.old", "")
    try:
        await engine.remove_own_volumes(name, ["no-such-volume", f"gk-i-{name}.old"])
        assert await own_volumes(engine, name) == [f"gk-i-{name}-1.data"]
    finally:
        await engine.remove_own_volumes(f"{name}-1", [])
    assert await own_volumes(engine, name) == []


async def test_a_volume_of_two_pipelines_names_is_of_the_one_that_has_it(subject: Subject) -> None:
    """Pipeline a-b with the volume data, and pipeline a with the volume b-data."""
    engine, pipeline = subject.engine, f"p{make_key().run_id}"
    volume = f"gk-p-{pipeline}-b-data"

    async def create(owner: str) -> str:
        owned = make_owner(node=subject.node, pipeline=owner)
        new = make_new_container(owned, image=subject.image, command=["true"], volumes=[f"{volume}:/data"])
        return await engine.create(new)

    made = [await create(f"{pipeline}-b"), await create(f"{pipeline}-b"), await create("other")]
    with pytest.raises(InvalidError, match=f"volume {volume} belongs to pipeline {pipeline}-b"):
        await create(pipeline)
    for container_id in made:
        await engine.remove(container_id)
    await engine.remove_own_volumes(pipeline, [volume])


async def test_a_volume_that_a_container_has_stays_and_is_told(subject: Subject) -> None:
    engine, name = subject.engine, f"game-{make_key().run_id}"
    volume = f"gk-i-{name}.data"
    await engine.ensure_own_volume(volume, name)
    new = make_new_container(
        make_owner(node=subject.node), image=subject.image, command=["true"], volumes=[f"{volume}:/theirs"]
    )
    holder = await engine.create(new)
    stay = {volume: f"container {new.owner.key.container_name} has it"}
    assert await engine.remove_own_volumes(name, ["no-such-volume"]) == stay
    assert await own_volumes(engine, name) == [volume]
    await engine.remove(holder)
    assert await engine.remove_own_volumes(name, [volume]) == {}
    assert await own_volumes(engine, name) == []


async def own_volumes(engine: ContainerEngine, instance: str) -> list[str]:
    if isinstance(engine, DockerEngine):
        found = await engine._call(engine._api.volumes, filters={"name": f"^gk-i-{instance}"})
        return [volume["Name"] for volume in found.get("Volumes") or []]
    assert isinstance(engine, DummyEngine)
    return sorted(name for name in engine.own_volumes if name.startswith(f"gk-i-{instance}"))


async def test_a_runs_network_is_there_for_as_long_as_a_container_that_may_start_again(subject: Subject) -> None:
    """Docker lets a network go from under a container that is stopped, which then never starts again."""
    key = make_key()
    network = f"gk-{key.run_id}"
    await subject.engine.ensure_network(network, key.run_id)
    new = replace(subject.new(key=key, kind="service", lifetime="node", sleep=60), network=network, alias="server")
    container_id = await subject.engine.create(new)
    await subject.engine.start(container_id)
    await subject.engine.stop(container_id, 5)
    await subject.engine.remove_run_resources(key.run_id)
    assert key.run_id in await subject.engine.list_run_resources()
    await subject.start_again(container_id)
    await subject.engine.stop(container_id, 5)
    await subject.engine.remove(container_id)
    await subject.engine.remove_run_resources(key.run_id)
    assert key.run_id not in await subject.engine.list_run_resources()


async def test_a_groups_network_goes_with_its_last_container(subject: Subject) -> None:
    group = f"contract-{make_key().run_id}"
    for _ in range(2):
        await subject.engine.ensure_group(group)
    new = replace(subject.new(kind="service", sleep=60), network=group_network(group), alias="arena", aliases=("a",))
    container_id = await subject.engine.create(new)
    await subject.engine.start(container_id)
    await subject.engine.stop(container_id, 5)
    assert group in await subject.engine.remove_unused_groups()
    await subject.engine.remove(container_id)
    assert group not in await subject.engine.remove_unused_groups()
    await subject.engine.ensure_group(group)  # as for the first one
    assert group not in await subject.engine.remove_unused_groups()
