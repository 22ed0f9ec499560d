"""Names of instances at the command line, and its words about them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from gamekeeper.db.models import EventRow, InstanceRevisionRow, InstanceRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from tests.factories import make_new_container, make_owner
from tests.gamekeeper.cli.conftest import Command
from tests.hang import HANG_SECONDS


@pytest.fixture
async def alike(command: Command) -> Command:
    """With arena-eu, and with an arena that is gone."""
    async with command.api.database.write() as session:
        session.add(InstanceRow(id="arena-eu", node_id="node-1"))
        await session.flush()
        session.add(InstanceRevisionRow(instance_id="arena-eu", revision=1, spec={"container": {"image": "i"}}))
    return command


@pytest.mark.parametrize(
    "words",
    [
        "rm arena --yes --no-wait",
        "start arena --no-wait",
        "stop arena --no-wait",
        "restart arena --no-wait",
        "kill arena --no-wait",
        "rollback arena --no-wait",
        "update arena --image i:2 --no-wait",
        "edit arena --name other",
        "console arena",
        "exec arena -- true",
    ],
)
async def test_what_changes_something_takes_no_beginning_for_an_id(alike: Command, words: str) -> None:
    said = await alike("instance", *words.split())
    assert (said.code, "did you mean arena-eu?" in said.err) == (4, True), said.err
    answer = await alike.api.http.get("/instances/arena-eu")
    assert (answer.json()["desired"], answer.json()["operation"], answer.json()["name"]) == ("running", None, "")


async def test_what_only_reads_does(alike: Command) -> None:
    assert (await alike("instance", "show", "arena")).lines[0].startswith("instance arena-eu on node-1")
    said = await alike("instance", "rm", "other", "--yes")
    assert (said.code, "gamekeeper instance ls" in said.err) == (4, True)


async def change(command: Command, instance: str, **fields: Any) -> None:
    async with command.api.database.write() as session:
        row = await InstanceRepository(session).get(instance)
        for name, value in fields.items():
            setattr(row, name, value)


async def test_a_wait_for_a_state(alike: Command) -> None:
    said = await alike("instance", "wait", "arena-eu", "--state", "redy")
    assert (said.code, "crash_loop" in said.err) == (2, True)
    await change(alike, "arena-eu", state=InstanceState.FAILED, reason=InstanceReason.PULL_FAILED, message="no image")
    said = await alike("instance", "wait", "arena-eu", "--state", "failed")
    assert (said.code, said.lines[-1]) == (0, "instance arena-eu is failed (pull_failed) no image")


async def test_a_wait_ends_with_a_deletion_and_forgets_why_it_had_failed(alike: Command) -> None:
    await change(alike, "arena-eu", state=InstanceState.FAILED, reason=InstanceReason.PULL_FAILED, message="no image")
    waiting = await alike.begin("instance", "wait", "arena-eu", "--state", "ready")
    assert waiting.stdout is not None
    async with asyncio.timeout(HANG_SECONDS):
        told = asyncio.create_task(waiting.stdout.readline())
        while not told.done():  # only what happens after the wait began is told
            async with alike.api.database.write() as session:
                session.add(EventRow(kind="instance.failed", instance="arena-eu"))
            await asyncio.wait({told}, timeout=0.3)
        await change(alike, "arena-eu", deleted_at=datetime.now(UTC))
        out, _ = await waiting.communicate()
    assert (waiting.returncode, out.decode().splitlines()[-1]) == (1, "instance arena-eu is deleted")


async def test_what_goes_on_and_why_are_told_apart(alike: Command) -> None:
    fields = {"state": InstanceState.STOPPING, "reason": InstanceReason.NODE_DISABLED, "message": "asked to stop"}
    await change(alike, "arena-eu", **fields)
    (line, *_) = (await alike("instance", "show", "arena-eu")).lines
    assert line.endswith(" ago; node_disabled: asked to stop")


async def test_its_schedules_are_shown_with_it(alike: Command) -> None:
    body = {"cron": "0 5 * * *", "action": "restart"}
    answer = await alike.api.http.put("/instances/arena-eu/schedules/nightly", json=body)
    assert answer.status_code in (200, 201), answer.text
    assert any(
        line.startswith("nightly ") and "0 5 * * * UTC" in line
        for line in (await alike("instance", "show", "arena-eu")).lines
    )


async def test_a_start_on_a_disabled_node_says_what_to_type(command: Command) -> None:
    made = await command.api.http.post(
        "/instances", json={"id": "arena", "container": {"image": "a:1"}, "node": "node-1"}
    )
    assert made.status_code == 201, made.text
    assert (await command("instance", "wait", "arena")).code == 0
    await command.api.http.patch("/nodes/node-1", json={"mode": "disabled"})
    assert (await command("instance", "wait", "arena", "--state", "stopped")).code == 0
    said = await command("instance", "start", "arena")
    assert (said.code, said.lines[-1].endswith("gamekeeper node uncordon node-1")) == (1, True), said


async def test_a_removal_tells_which_volume_stays(command: Command) -> None:
    """The command that asked for them to go has failed; the instance has gone all the same."""
    container = {"image": "a:1", "volumes": ["data:/data"]}
    made = await command.api.http.post("/instances", json={"id": "arena", "container": container, "node": "node-1"})
    assert made.status_code == 201, made.text
    assert (await command("instance", "wait", "arena")).code == 0
    volumes = ["gk-i-arena.data:/theirs"]
    (engine,) = command.api._engines
    await engine.create(make_new_container(make_owner(), image="image", volumes=volumes))
    said = await command("instance", "rm", "arena", "--volumes", "--yes")
    assert (said.code, said.err) == (1, "")
    assert said.lines[-1].startswith("instance arena is deleted (engine) volume gk-i-arena.data stays: container ")
    assert said.lines[-1].endswith("on node-1: docker volume rm gk-i-arena.data")
    assert (await command("instance", "show", "arena")).code == 4
    events = await command("events", "--kind", "instance.deleted", "--json")
    assert b"docker volume rm gk-i-arena.data" in events.out
