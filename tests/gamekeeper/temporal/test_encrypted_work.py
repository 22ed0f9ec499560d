"""A Temporal server of its own, whose database is read: nothing of what workflows are told and answer stands in it."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import urllib.parse
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gamekeeper.payload_keys.live import PayloadKeys
from gamekeeper.payload_keys.ring_file import RingFile, new_key
from gamekeeper.temporal.dev_server import dynamic_config_args, find_binary
from gamekeeper.temporal.proofs import ControlCodec, ProvingCodec
from gamekeeper.temporal.sealed_payloads import PayloadSeals, SealingCodec
from gamekeeper.temporal.sealed_words import opened_words, sealed_words
from gamekeeper.temporal.signed_inputs import SigningCodec
from tests.fixtures.temporal import seals_of, with_codec
from tests.hang import HANG_SECONDS

LIMIT = timedelta(seconds=60)
ONCE = RetryPolicy(maximum_attempts=2, initial_interval=timedelta(milliseconds=50))


@activity.defn
async def accept(words: str) -> str:
    if activity.info().attempt == 1:
        activity.heartbeat(f"beat {words}")
        raise ApplicationError(f"first try of {words}", f"details {words}")
    return f"result {words}"


@activity.defn
async def refuse(words: str) -> None:
    raise ApplicationError(f"refused {words}", {"why": words}, non_retryable=True)


@workflow.defn(name="all-ways")
class AllWays:
    """Every way by which words come into a history."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self, words: str, rounds: int) -> list[str]:
        tries = {"start_to_close_timeout": LIMIT, "retry_policy": ONCE, "heartbeat_timeout": LIMIT}
        found = [await workflow.execute_activity(accept, words, summary=f"summary {words}", **tries)]  # type: ignore[call-overload]
        found.append(
            await workflow.execute_local_activity(
                accept, f"local {words}", start_to_close_timeout=LIMIT, retry_policy=ONCE, summary=f"local {words}"
            )
        )
        with suppress(Exception):
            await workflow.execute_activity(refuse, words, start_to_close_timeout=LIMIT, retry_policy=ONCE)
        await workflow.sleep(0.01, summary=f"timer {words}")
        workflow.upsert_memo({"memo": f"upserted {words}"})
        if rounds:
            workflow.continue_as_new(args=[f"again {words}", rounds - 1])
        with suppress(Exception):
            await workflow.execute_child_workflow("fails", f"child {words}", static_summary=f"child {words}")
        await workflow.wait_condition(lambda: len(self.heard) > 1)
        return found

    @workflow.signal
    def hear(self, words: str) -> None:
        self.heard.append(words)

    @workflow.update
    async def tell(self, words: str) -> str:
        self.heard.append(words)
        if words.startswith("bad"):
            raise ApplicationError(f"update refused {words}")
        return f"told {words}"

    @workflow.query
    def so_far(self, words: str) -> str:
        return f"{words} {self.heard}"


@workflow.defn(name="fails", failure_exception_types=[Exception])
class Fails:
    @workflow.run
    async def run(self, words: str) -> None:
        workflow.set_current_details(f"details {words}")
        raise ValueError(f"failed {words}")


@workflow.defn(name="stumbles")
class Stumbles:
    """Its task fails, until it is asked no more: the words of that failure are kept as well."""

    @workflow.run
    async def run(self, words: str) -> None:
        raise RuntimeError(f"stumbled {words}")


@dataclass
class Plane:
    server: WorkflowEnvironment
    folder: Path
    seals: PayloadSeals
    queue: str

    def client(self, codec: Any) -> Client:
        return with_codec(self.server.client, codec)

    @property
    def api(self) -> Client:
        return self.client(SealingCodec(ProvingCodec(b"k" * 32), self.seals))

    @asynccontextmanager
    async def working(self, seals: PayloadSeals | None = None, earlier: tuple[str, ...] = ()) -> AsyncIterator[None]:
        """Without a cache: each task reads the whole history once more."""
        inner = ControlCodec(SigningCodec(lambda: pytest.fail("signs")), ProvingCodec(b"k" * 32), earlier)
        async with Worker(
            self.client(SealingCodec(inner, seals or self.seals, is_of_a_worker=True)),
            task_queue=self.queue,
            workflows=[AllWays, Fails, Stumbles],
            activities=[accept, refuse],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=0,
            max_concurrent_workflow_task_polls=2,
        ):
            yield

    async def begin(self, client: Client, words: str, rounds: int = 0, **options: Any) -> WorkflowHandle[Any, Any]:
        return await client.start_workflow(
            "all-ways", args=[words, rounds], id=f"run/{uuid.uuid4().hex}", task_queue=self.queue, **options
        )

    def bytes(self) -> bytes:
        """All that the server has written, what is only in its write-ahead log included."""
        return b"".join(path.read_bytes() for path in self.folder.glob("temporal.db*"))


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    database = tmp_path / "temporal.db"
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=find_binary(),
        dev_server_database_filename=str(database),
        dev_server_extra_args=dynamic_config_args(),
    )
    yield Plane(server, tmp_path, seals_of(tmp_path), f"queue-{uuid.uuid4().hex[:8]}")
    await server.shutdown()


def written(canary: str) -> Iterator[bytes]:
    """A canary as it may stand in a file. Base64 has three forms, by where it begins."""
    raw = canary.encode()
    yield raw
    yield raw.hex().encode()
    yield json.dumps(canary)[1:-1].encode()
    yield urllib.parse.quote(canary).encode()
    yield canary.encode("utf-16-le")
    for shift in range(3):
        yield base64.b64encode(b"x" * shift + raw)[4 if shift else 0 : -4]
        yield base64.urlsafe_b64encode(b"x" * shift + raw)[4 if shift else 0 : -4]


async def test_temporals_database_holds_nothing_of_it(plane: Plane) -> None:
    canaries = [f"canary-{uuid.uuid4().hex}-ü{number}" for number in range(6)]
    args, signal, update, scheduled, memo, note = canaries
    async with plane.working(), asyncio.timeout(HANG_SECONDS):
        handle = await plane.begin(
            plane.api, args, 1, memo={"memo": memo}, static_summary=f"summary {memo}", static_details=memo
        )
        await handle.signal("hear", signal)
        while (await handle.describe()).status is None or not await _is_last(handle):
            await asyncio.sleep(0.05)
        newest = plane.api.get_workflow_handle(handle.id)
        assert update in await newest.query("so_far", update, result_type=str)
        await newest.signal("hear", signal)
        assert await newest.execute_update("tell", update, result_type=str) == f"told {update}"
        assert await newest.result() == [f"result again {args}", f"result local again {args}"]
        assert (await newest.describe()).status is not None
        failed = await plane.api.start_workflow(
            "fails", scheduled, id=f"run/{uuid.uuid4().hex}", task_queue=plane.queue
        )
        with pytest.raises(WorkflowFailureError) as caught:
            await failed.result()
        assert str(caught.value.cause) == f"ValueError: failed {scheduled}", "and whoever has the key reads the words"
        await _stumble(plane, scheduled)
        await _schedule(plane, scheduled, note)
    found = plane.bytes()
    assert len(found) > 100_000
    for canary in canaries:
        for form in written(canary):
            assert form not in found, f"{canary} as {form!r}"
    assert plane.queue.encode() in found, "names of queues stand there in clear"


async def _is_last(handle: WorkflowHandle[Any, Any]) -> bool:
    described = await handle.describe()
    return described.run_id != handle.first_execution_run_id


async def _stumble(plane: Plane, words: str) -> None:
    handle = await plane.api.start_workflow("stumbles", words, id=f"run/{uuid.uuid4().hex}", task_queue=plane.queue)
    while (await handle.describe()).raw_description.pending_workflow_task.attempt < 2:
        await asyncio.sleep(0.05)
    await handle.terminate()


async def _schedule(plane: Plane, words: str, note: str) -> None:
    name = f"schedule/{uuid.uuid4().hex}"
    action = ScheduleActionStartWorkflow("fails", words, id=name, task_queue=plane.queue, static_summary=words)
    schedule = await plane.api.create_schedule(name, Schedule(action=action, spec=ScheduleSpec()))
    await schedule.pause(note=await sealed_words(plane.api, note))
    assert await opened_words(plane.api, (await schedule.describe()).schedule.state.note or "") == note
    await schedule.trigger()
    while not (await schedule.describe()).info.recent_actions:
        await asyncio.sleep(0.05)


async def test_without_keys_it_would_all_be_there(plane: Plane) -> None:
    """The test above looks in the right place."""
    canary = f"canary-{uuid.uuid4().hex}"
    await plane.begin(plane.client(ProvingCodec(b"k" * 32)), canary)
    assert canary.encode() in plane.bytes()


async def test_a_run_that_began_in_clear_goes_on_after_an_upgrade(plane: Plane) -> None:
    handle = await plane.begin(plane.client(ProvingCodec(b"k" * 32)), "before")
    await handle.signal("hear", "in clear")
    async with plane.working(), asyncio.timeout(HANG_SECONDS):
        await plane.api.get_workflow_handle(handle.id).signal("hear", "encrypted")
        found = await plane.api.get_workflow_handle(handle.id, result_type=list[str]).result()
    assert found == ["result before", "result local before"]


async def test_a_run_goes_on_over_a_rotation(plane: Plane) -> None:
    handle = await plane.begin(plane.api, "first key")
    first = plane.seals.keys.ring.keys[0].id
    async with plane.working(), asyncio.timeout(HANG_SECONDS):
        await handle.signal("hear", "first key")
        now = datetime.now(UTC)
        changed = plane.seals.keys.file.change(lambda ring: ring.with_key(new_key(now, now)))
        plane.seals.keys.look()
        assert await handle.execute_update("tell", "second key", result_type=str) == "told second key"
        assert await plane.api.get_workflow_handle(handle.id, result_type=list[str]).result()
    used = {key async for key in _keys_of(handle)}
    assert used == {first, changed.keys[1].id}


async def _keys_of(handle: WorkflowHandle[Any, Any]) -> AsyncIterator[str]:
    text = (await handle.fetch_history()).to_json()
    for part in text.split('"encryption-key-id": "')[1:]:
        yield base64.b64decode(part.partition('"')[0]).decode()


async def until_a_task_fails(handle: WorkflowHandle[Any, Any]) -> None:
    while (await handle.describe()).raw_description.pending_workflow_task.attempt < 2:
        await asyncio.sleep(0.05)


async def test_a_worker_without_the_key_stops_nothing_and_says_so(plane: Plane, tmp_path: Path) -> None:
    """Its key is restored, and the run goes on."""
    handle = await plane.begin(plane.api, "words")
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    other = seals_of(wrong)
    async with asyncio.timeout(HANG_SECONDS):
        async with plane.working(other):
            await until_a_task_fails(handle)
        noted = other.troubles.take()[0]
        assert [(trouble.subject, trouble.is_missing) for trouble in noted] == [(handle.id, True)]
        shutil.copy(plane.seals.keys.path, other.keys.path)
        async with plane.working(other):
            await handle.signal("hear", "one")  # Temporal tries it at once, and not in some minutes
            await handle.signal("hear", "two")
            assert await plane.api.get_workflow_handle(handle.id, result_type=list[str]).result()
    assert other.troubles.take()[1]


async def test_a_lost_key_fails_runs_in_words_once_it_is_given_up(plane: Plane, tmp_path: Path) -> None:
    lost = await plane.begin(plane.api, "words")
    first, now = plane.seals.keys.ring.keys[0].id, datetime.now(UTC)
    (tmp_path / "new").mkdir()
    path = tmp_path / "new" / "payloads.key"
    RingFile(path).ensure()
    RingFile(path).change(lambda ring: ring.given_up(first, "key:admin", now, new_key(now, now)))
    plane.seals = PayloadSeals(PayloadKeys(RingFile(path)))
    async with plane.working(), asyncio.timeout(HANG_SECONDS):
        with pytest.raises(WorkflowFailureError) as caught:
            await plane.api.get_workflow_handle(lost.id).result()
        assert "was given up by key:admin" in str(caught.value.cause)
        works = await plane.begin(plane.api, "new words")
        await works.signal("hear", "one")
        await works.signal("hear", "two")
        assert await works.result() == ["result new words", "result local new words"]
