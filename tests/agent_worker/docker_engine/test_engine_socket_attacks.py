"""Hostile containers with a socket in the place of the engine's, and what befalls that of one that did nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.mounts.held_folders import MAX_STACK
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.ports.container_engine import NameTakenError
from tests.agent_worker.docker_engine.test_engine_socket import SOCKET, Projects, projects
from tests.factories import make_key, make_new_container, make_owner
from tests.fixtures.docker import image_root
from tests.hang import HANG_SECONDS

__all__ = ["projects"]


async def test_an_image_with_the_labels_of_another_sees_nothing_of_that(projects: Projects) -> None:
    """They stand beside ours, and an instance's name no step: only the container's name tells whose it is."""
    engine = projects.engine
    victim = make_owner(node=engine._node, key=InstanceKey(instance=f"{engine._node}-arena", revision=1), pipeline="")
    secret = await engine.create(make_new_container(victim, image=projects.image, command=["sleep", "1000"]))
    await engine.start(secret)
    repository = f"gamekeeper/forged-{uuid.uuid4().hex[:8]}"
    changes = [f"LABEL gamekeeper.instance={engine._node}-arena", "LABEL gamekeeper.revision=1"]
    api = projects.ours.api
    api.import_image_from_data(image_root(), repository=repository, tag="1", changes=changes)
    projects.image = f"{repository}:1"
    own = await projects.run("evil", f"{SOCKET}:{SOCKET}")
    try:
        assert await projects.seen(own) == {own}
        projects.engine._mounts._sockets.close_all()
        await engine.release_host_folders()
        assert await projects.seen(own) == {own}
        assert {info.id for info in await engine.list_instances() if info.owner and info.owner.key == victim.key} == {
            secret
        }
        found = await engine.find(own)
        assert found is not None
        assert found.owner is not None
        assert found.owner.pipeline == "evil"
    finally:
        await engine.stop(own, 0)
        await engine.remove(own)
        api.remove_image(projects.image, force=True)


async def test_a_second_delivery_leaves_the_socket_of_what_runs(projects: Projects) -> None:
    """It creates and starts what is there already, as two deliveries of one try do."""
    engine = projects.engine
    owner = make_owner(node=engine._node, key=make_key(), pipeline="first")
    new = make_new_container(owner, image=projects.image, command=["sleep", "1000"], volumes=[f"{SOCKET}:{SOCKET}"])
    own = await engine.create(new)
    await engine.start(own)
    with pytest.raises(NameTakenError):
        await engine.create(new)
    assert await projects.seen(own) == {own}
    await engine.start(own)
    assert await projects.seen(own) == {own}
    with pytest.raises(NameTakenError):
        await engine.create(replace(new, owner=replace(owner, pipeline="second")))
    assert await projects.seen(own) == {own}


async def test_two_deliveries_at_once_make_one_container_that_has_its_socket(projects: Projects) -> None:
    engine = projects.engine
    owner = make_owner(node=engine._node, key=make_key(), pipeline="first")
    new = make_new_container(owner, image=projects.image, command=["sleep", "1000"], volumes=[f"{SOCKET}:{SOCKET}"])
    made = await asyncio.gather(*[engine.create(new) for _ in range(4)], return_exceptions=True)
    (own,) = [found for found in made if isinstance(found, str)]
    assert [type(found) for found in made if found is not own] == [NameTakenError] * 3
    await asyncio.gather(*[engine.start(own) for _ in range(4)])
    assert await projects.seen(own) == {own}


async def test_a_container_changes_nothing_of_its_socket(projects: Projects) -> None:
    """Docker mounts it read-only, and what the next agent mounts on it is as it made it."""
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    path = projects.address(own).removeprefix("unix://")
    for _ in range(2):
        assert await projects.seen(own) == {own}
        with pytest.raises(OSError, match="Read-only file system"):
            os.chmod(path, 0o777)
        with pytest.raises(OSError, match="Read-only file system"):
            os.utime(path)
        projects.engine._mounts._sockets.close_all()
        await projects.engine.release_host_folders()


async def test_a_user_of_the_machine_reaches_neither_sockets_nor_folders(projects: Projects, tmp_path: Path) -> None:
    """A path by the agent's mounts would lead past the folder that keeps him from the source."""
    (tmp_path / "d").mkdir(mode=0o755)
    (tmp_path / "d" / "text").write_text("x")
    found = await projects.engine.find(await projects.run("first", f"{SOCKET}:{SOCKET}", f"{tmp_path}/d:/d"))
    assert found is not None
    held = projects.engine._mounts._held
    script = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for act in (lambda: socket.socket(socket.AF_UNIX).connect(sys.argv[1]), lambda: os.listdir(sys.argv[2])):\n"
        "    try: act()\n"
        "    except PermissionError: continue\n"
        "    sys.exit(7)\n"
    )
    command = [sys.executable, "-S", "-c", script, held.socket_path(found.name), held.path(found.name, 0)]
    for _ in range(2):
        assert os.listdir(held.path(found.name, 0)) == ["text"]
        done = await asyncio.to_thread(subprocess.run, command, timeout=HANG_SECONDS)
        assert done.returncode == 0
        after = DockerEngine(projects.engine._node)
        await after.release_host_folders()
        after.close()


async def test_the_sockets_of_many_agents_are_thinned_out(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    found = await projects.engine.find(own)
    assert found is not None
    place = Path(projects.engine._mounts._held.socket_path(found.name)).parent
    for _ in range(2 * MAX_STACK):
        projects.engine._mounts._sockets.close_all()
        await projects.engine.release_host_folders()
    assert await projects.seen(own) == {own}
    assert len(list(place.iterdir())) <= MAX_STACK + 1


async def test_a_filter_that_costs_the_engine_much_is_refused(projects: Projects) -> None:
    own = await projects.run("first", f"{SOCKET}:{SOCKET}")
    client = await projects.client(own)

    def ask() -> None:
        for filters in ({"name": ".{1000}" * 28}, {"id": "(a|b)"}, {"name": "[a-z]"}):
            with pytest.raises(docker.errors.APIError) as refused:
                client.api.containers(filters=filters)
            assert refused.value.status_code == 400
        with pytest.raises(docker.errors.APIError) as refused:
            client.api.containers(filters={"label": "gamekeeper.folders=[]"})
        assert refused.value.status_code == 403
        with pytest.raises(docker.errors.APIError) as refused:
            client.api.containers(filters={"status": "nonsense"})
        assert refused.value.status_code == 400

    await asyncio.to_thread(ask)
    client.close()
