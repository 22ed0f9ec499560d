"""One body for both engines: what the dummy promises, Docker does, and the other way round."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest

from gamekeeper.domain.log.log import LogStream
from gamekeeper.errors import ImageError
from gamekeeper.ports.container_engine import (
    ContainerStatus,
    EngineFaultError,
    Health,
    NameTakenError,
    StartError,
)
from tests.contracts.subject import Subject
from tests.factories import make_key, make_new_container, make_owner
from tests.hang import HANG_SECONDS


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
