"""One body for both engines: what the dummy promises, Docker does, and the other way round."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent_worker.docker_engine import DockerEngine
from agent_worker.dummy_engine import DummyEngine
from gamekeeper.domain.log.log import LogStream
from gamekeeper.errors import ImageError, InvalidError
from gamekeeper.ports.container_engine import (
    ContainerEngine,
    ContainerStatus,
    EngineConsole,
    EngineFaultError,
    Health,
    NameTakenError,
    NewContainer,
    StartError,
    group_network,
)
from tests.factories import make_console, make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS

Make = Callable[..., NewContainer]


class Subject:
    """An engine, and how it is told to do things: real commands for Docker, the environment for the dummy."""

    def __init__(self, engine: ContainerEngine, image: str, node: str, dummy: bool) -> None:
        self.engine = engine
        self.image = image
        self.node = node
        self.dummy = dummy

    def new(self, *, sleep: float = 0, exit_code: int = 0, output: str = "", **fields: Any) -> NewContainer:
        """``step_output`` is what it writes to the file for outputs, by a user who is not root."""
        handed_on: str | None = fields.pop("step_output", None)
        spec: dict[str, Any] = {"image": fields.pop("image", self.image), "restart": fields.pop("restart", "no")}
        if self.dummy:
            spec["environment"] = {
                "DUMMY_SLEEP": str(sleep),
                "DUMMY_EXIT_CODE": str(exit_code),
                "DUMMY_OUTPUT": output,
                "DUMMY_STEP_OUTPUT": handed_on or "",
            }
        else:
            # exec, so that a stop reaches a process that ends on it
            script = f"trap 'exit 143' TERM; printf '%s' '{output}'; sleep {sleep} & wait $!; exit {exit_code}"
            if handed_on is not None:
                script = f'echo "{handed_on}" >> "$STEP_OUTPUT"; {script}'
                spec |= {"user": "65534", "read_only": True}
            spec["command"] = ["sh", "-c", script]
        made = make_new_container(make_owner(node=self.node, **fields), **spec)
        return replace(made, has_outputs=handed_on is not None)

    async def start_again(self, container_id: str) -> None:
        """Starts it again, as ``docker start`` and Docker's restart policies do."""
        if isinstance(self.engine, DockerEngine):
            await self.engine.start(container_id)

    async def ended(self, new: NewContainer) -> str:
        """The id of a container that ran to its end, its restarts included."""
        container_id = await self.engine.create(new)
        await self.engine.start(container_id)
        async with asyncio.timeout(HANG_SECONDS):
            await self.engine.wait(container_id)
            while (info := await self.engine.find(container_id)) and info.status is not ContainerStatus.EXITED:
                await asyncio.sleep(0.05)
        return container_id


@pytest.fixture(params=["dummy", "docker"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "dummy":
        return Subject(DummyEngine("node-1"), "image", "node-1", dummy=True)
    engine = request.getfixturevalue("docker_engine")
    return Subject(engine, request.getfixturevalue("test_image"), engine._node, dummy=False)


async def test_outcome_is_read_from_the_engine(subject: Subject) -> None:
    container_id = await subject.ended(subject.new(exit_code=3))
    info = await subject.engine.find(container_id)
    assert info is not None
    assert (info.status, info.exit_code, info.oom_killed) == (ContainerStatus.EXITED, 3, False)
    assert info.started_at is not None
    assert info.finished_at is not None
    assert info.digest


async def test_outputs_are_read_from_a_container_that_has_ended(subject: Subject) -> None:
    container_id = await subject.engine.create(subject.new(step_output="digest=1"))
    for _ in range(2):  # a second delivery may do it again
        await subject.engine.prepare_outputs(container_id)
    await subject.engine.start(container_id)
    await subject.engine.wait(container_id)
    assert (await subject.engine.read_outputs(container_id)).strip() == b"digest=1"
    await subject.engine.remove(container_id)
    assert await subject.engine.read_outputs(container_id) == b""


async def test_name_is_a_lock(subject: Subject) -> None:
    new = subject.new()
    await subject.engine.create(new)
    with pytest.raises(NameTakenError):
        await subject.engine.create(new)


async def test_labels_say_who_owns(subject: Subject) -> None:
    key = make_key(step="own", try_=2)
    await subject.engine.create(subject.new(key=key, lifetime="node", kind="service"))
    info = await subject.engine.find(key.container_name)
    assert info is not None
    assert info.owner is not None
    assert (info.owner.key, info.owner.lifetime, info.owner.kind) == (key, "node", "service")
    listed = await subject.engine.list_owned(run_id=key.run_id, step="own")
    assert [item.id for item in listed] == [info.id]
    assert await subject.engine.list_owned(run_id="other") == []


async def test_start_is_idempotent_and_wait_returns_for_ended(subject: Subject) -> None:
    container_id = await subject.ended(subject.new())
    await subject.engine.wait(container_id)
    await subject.engine.wait("gone")


async def test_stop_ends_a_running_container(subject: Subject) -> None:
    container_id = await subject.engine.create(subject.new(sleep=60))
    await subject.engine.start(container_id)
    waiting = asyncio.create_task(subject.engine.wait(container_id))
    await subject.engine.stop(container_id, 5)
    await asyncio.wait_for(waiting, HANG_SECONDS)
    info = await subject.engine.find(container_id)
    assert info is not None
    assert info.exit_code == 143
    await subject.engine.stop(container_id, 5)


async def test_remove_is_success_for_what_is_gone(subject: Subject) -> None:
    container_id = await subject.ended(subject.new())
    await subject.engine.remove(container_id)
    assert await subject.engine.find(container_id) is None
    await subject.engine.remove(container_id)
    await subject.engine.stop(container_id, 1)


async def test_log_is_read_to_its_end_and_again_from_a_time(subject: Subject) -> None:
    container_id = await subject.ended(subject.new(output="one\ntwo\nthree\n"))
    lines = [line async for batch in subject.engine.read_logs(container_id, 0, follow=True) for line in batch]
    assert b"".join(line.data for line in lines) == b"one\ntwo\nthree\n"
    assert {line.stream for line in lines} == {LogStream.STDOUT}
    again = [
        line async for batch in subject.engine.read_logs(container_id, lines[1].ts_ns, follow=True) for line in batch
    ]
    assert again == lines[1:]


async def test_log_of_nothing_is_empty(subject: Subject) -> None:
    assert [batch async for batch in subject.engine.read_logs("gone", 0, follow=True)] == []


async def test_missing_image(subject: Subject) -> None:
    assert await subject.engine.has_image(subject.image)
    assert not await subject.engine.has_image("missing.invalid/image:1")
    with pytest.raises(ImageError, match=r"missing\.invalid/image"):
        await subject.engine.pull("missing.invalid/image:1", lambda text: None, 30)
    with pytest.raises(ImageError):
        await subject.engine.create(subject.new(image="missing.invalid/image:1"))


async def test_command_that_does_not_exist(subject: Subject) -> None:
    spec: dict[str, Any] = {"image": subject.image, "command": ["no-such-command"]}
    if subject.dummy:
        spec["environment"] = {"DUMMY_START_ERROR": "no-such-command: not found"}
    new = make_new_container(make_owner(node=subject.node), **spec)
    container_id = await subject.engine.create(new)
    with pytest.raises(StartError, match="no-such-command"):
        await subject.engine.start(container_id)
    info = await subject.engine.find(container_id)
    assert info is not None
    assert info.exit_code == 127


async def test_what_the_engine_fails_to_start_is_its_fault(subject: Subject) -> None:
    spec: dict[str, Any] = {"image": subject.image, "command": ["true"], "devices": ["/dev/gamekeeper-none"]}
    if subject.dummy:
        spec["environment"] = {"DUMMY_START_FAULTS": "1"}
    container_id = await subject.engine.create(make_new_container(make_owner(node=subject.node), **spec))
    with pytest.raises(EngineFaultError):
        await subject.engine.start(container_id)
    info = await subject.engine.find(container_id)
    assert info is not None
    assert (info.status, info.started_at) == (ContainerStatus.CREATED, None)
    await subject.engine.remove(container_id)
    with pytest.raises(EngineFaultError):
        await subject.engine.start(container_id)


async def test_health_check(subject: Subject) -> None:
    check = {"test": ["CMD", "true"], "interval": "200ms", "retries": 3}
    spec: dict[str, Any] = {"image": subject.image, "healthcheck": check, "command": ["sleep", "60"]}
    new = make_new_container(make_owner(node=subject.node, kind="service"), **spec)
    container_id = await subject.engine.create(new)
    await subject.engine.start(container_id)
    async with asyncio.timeout(HANG_SECONDS):
        while (info := await subject.engine.find(container_id)) is None or info.health is not Health.HEALTHY:
            await asyncio.sleep(0.05)
    await subject.engine.stop(container_id, 0)


@pytest.mark.parametrize("restart", ["always", "on-failure:2"])
async def test_the_engine_starts_nothing_by_itself(subject: Subject, restart: str) -> None:
    new = subject.new(exit_code=3, kind="service", restart=restart)
    info = await subject.engine.find(await subject.ended(new))
    assert info is not None
    assert (info.restart_count, info.exit_code) == (0, 3)


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


async def test_a_change_of_a_container_is_told(subject: Subject) -> None:
    """Its start, and its end, whose exit code is known though it may run again by then."""
    told = asyncio.Event()
    subject.engine.on_change(told.set)
    await subject.ended(subject.new(key=make_key(step="first")))  # the events are listened to from here on
    container_id = await subject.engine.create(subject.new(sleep=60, kind="service"))
    for change in (subject.engine.start(container_id), subject.engine.stop(container_id, 5)):
        told.clear()
        await change
        await asyncio.wait_for(told.wait(), HANG_SECONDS)
    (info,) = [info for info in await subject.engine.list_owned() if info.id == container_id]
    assert (info.exit_code, info.last_exit_code) == (143, 143)


async def test_listing_again_tells_the_same_of_what_ended_and_anew_of_what_runs(subject: Subject) -> None:
    ended = await subject.ended(subject.new(key=make_key(step="over"), exit_code=3))
    running = await subject.engine.create(subject.new(key=make_key(step="on"), sleep=30))
    await subject.engine.start(running)
    first = {info.id: info for info in await subject.engine.list_owned()}
    await subject.engine.stop(running, 2)
    second = {info.id: info for info in await subject.engine.list_owned()}
    assert first[ended] == second[ended]
    assert second[ended].exit_code == 3
    assert (first[running].status, second[running].status) == (ContainerStatus.RUNNING, ContainerStatus.EXITED)
    await subject.engine.remove(ended)
    assert [info.id for info in await subject.engine.list_owned()] == [running]


async def until_text(console: EngineConsole, wanted: bytes) -> bytes:
    """All that is written until ``wanted`` was."""
    text = b""
    async with asyncio.timeout(HANG_SECONDS):
        while wanted not in text:
            piece = await console.read()
            assert piece is not None, text
            text += piece.data
    return text


async def echoes_to_its_end(console: EngineConsole) -> None:
    await console.write(b"hello \xff\n")
    await until_text(console, b"hello \xff\n")
    await console.end_input()
    async with asyncio.timeout(HANG_SECONDS):
        while await console.read() is not None:
            pass
    assert await console.exit_code() == 0


async def test_a_console_echoes_until_its_input_ends(subject: Subject) -> None:
    container_id = await running(subject)
    console = await subject.engine.open_console(container_id, make_console("cat"))
    await echoes_to_its_end(console)
    await console.close()
    await console.close()


@pytest.mark.parametrize(("history", "shown"), [(1, b"two\n"), (2, b"one\ntwo\n"), (3, b"one\ntwo\n")])
async def test_a_console_begins_with_the_lines_before(subject: Subject, history: int, shown: bytes) -> None:
    container_id = await subject.engine.create(subject.new(sleep=60, output="one\ntwo\n"))
    await subject.engine.start(container_id)
    async with asyncio.timeout(HANG_SECONDS):
        while len(await subject.engine.last_log_lines(container_id, 3)) < 2:
            await asyncio.sleep(0.05)
    console = await subject.engine.open_console(container_id, replace(make_console(), history=history))
    assert (await until_text(console, b"two\n")) == shown
    assert console.history is not None
    assert (console.history.since_ns > 0) == (history > 2)
    await console.close()


async def test_a_console_to_what_does_not_run(subject: Subject) -> None:
    ended = await subject.ended(subject.new())
    with pytest.raises(StartError):
        await subject.engine.open_console(ended, make_console("cat"))


async def running(subject: Subject) -> str:
    container_id = await subject.engine.create(subject.new(sleep=60))
    await subject.engine.start(container_id)
    return container_id


async def test_a_look_into_what_has_ended(subject: Subject) -> None:
    container_id = await subject.ended(subject.new(exit_code=3))
    console = await subject.engine.look_in(container_id, make_console("cat"))
    await echoes_to_its_end(console)
    await console.close()
    info = await subject.engine.find(container_id)
    assert info is not None
    assert info.exit_code == 3
    with pytest.raises(StartError):
        await subject.engine.look_in("gone", make_console("cat"))


async def test_ports_are_told_while_it_runs(subject: Subject) -> None:
    new = subject.new(sleep=HANG_SECONDS)
    new = replace(new, spec=new.spec.model_copy(update={"ports": ["127.0.0.1::80", "127.0.0.1::90/udp"]}))
    container_id = await subject.engine.create(new)
    await subject.engine.start(container_id)
    info = await subject.engine.find(container_id)
    assert info is not None
    assert sorted(re.sub(r":\d+->", ":N->", port) for port in info.ports) == [
        "127.0.0.1:N->80/tcp",
        "127.0.0.1:N->90/udp",
    ]
    await subject.engine.stop(container_id, 0)
    info = await subject.engine.find(container_id)
    assert info is not None
    assert list(info.ports) == []
