"""Work of the control plane on a real Temporal: what api and control worker have made passes, in its own place; what
somebody else puts there by Temporal's address changes nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from gamekeeper.errors import InvalidError, UnavailableError
from gamekeeper.temporal import proofs, queues
from gamekeeper.temporal.proofs import ControlCodec, ProvingCodec, WorkKey
from gamekeeper.temporal.signed_inputs import SigningCodec
from tests.fixtures.temporal import with_codec
from tests.hang import HANG_SECONDS

LIMIT = timedelta(seconds=60)
started: list[str] = []


@activity.defn(name="accept")
async def accept(words: str) -> str:
    started.append(words)
    if words == "later":
        activity.raise_complete_async()
    if words == "bad":
        raise ApplicationError("no", {"why": "bad"}, non_retryable=True)
    return words.upper()


@workflow.defn(name="child")
class Child:
    @workflow.run
    async def run(self, words: str) -> str:
        parent = workflow.info().parent
        assert parent is not None
        await workflow.get_external_workflow_handle(parent.workflow_id).signal("hear", "child")
        return await _accept(words)


async def _accept(words: str) -> str:
    answer: str = await workflow.execute_activity(
        accept, words, activity_id=f"accept-{words}", start_to_close_timeout=LIMIT, summary=f"accept {words}"
    )
    return answer


@workflow.defn(name="parent")
class Parent:
    """Uses all ways by which a payload comes to a workflow."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self, words: str) -> list[str]:
        answers = [await _accept(words)]
        await workflow.sleep(0.01, summary="a moment")
        answers.append(await workflow.execute_child_workflow(Child.run, f"{words}-child", static_summary="child"))
        try:
            await _accept("bad")
        except Exception as error:
            answers.append(str(getattr(error.__cause__, "details", error)))
        await workflow.wait_condition(lambda: len(self.heard) > 2)
        return [*answers, *sorted(self.heard)]

    @workflow.signal
    async def hear(self, words: str) -> None:
        self.heard.append(words)

    @workflow.update
    async def tell(self, words: str) -> str:
        self.heard.append(words)
        return f"told {words}"

    @workflow.query
    def so_far(self) -> list[str]:
        return self.heard


@workflow.defn(name="waiting")
class Waiting:
    @workflow.run
    async def run(self, words: str) -> str:
        return await _accept(words)


@dataclass
class Plane:
    """``api`` is the api's client, ``stranger`` somebody's who has Temporal's address and nothing else."""

    stranger: Client
    key: bytes
    earlier: set[str] = field(default_factory=set)
    queue: str = field(default_factory=lambda: f"control-{uuid.uuid4().hex[:8]}")

    @property
    def api(self) -> Client:
        return with_codec(self.stranger, ProvingCodec(self.key))

    @asynccontextmanager
    async def working(self, cached: int = 1000) -> AsyncIterator[None]:
        def no_signer() -> Any:
            raise AssertionError("nothing here is for a node")

        codec = ControlCodec(SigningCodec(no_signer), ProvingCodec(self.key), self.earlier)
        async with Worker(
            with_codec(self.stranger, codec),
            task_queue=self.queue,
            workflows=[Parent, Child, Waiting],
            activities=[accept],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=cached,
            max_concurrent_workflow_task_polls=2,
        ):
            yield

    async def begin(self, client: Client, name: str, words: str, workflow_id: str = "") -> WorkflowHandle[Any, Any]:
        return await client.start_workflow(
            name, words, id=workflow_id or f"run/{uuid.uuid4().hex}", task_queue=self.queue
        )


@pytest.fixture
def plane(temporal_client: Client) -> Plane:
    started.clear()
    return Plane(temporal_client, b"k" * 32)


async def until_refused(handle: WorkflowHandle[Any, Any]) -> str:
    """The words in which the control worker has refused a task of this workflow."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            async for event in handle.fetch_history_events():
                if event.HasField("workflow_task_failed_event_attributes"):
                    return event.workflow_task_failed_event_attributes.failure.message
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("cached", [0, 1000])
async def test_all_ways_of_the_control_plane_pass(plane: Plane, cached: int) -> None:
    """Without a cache each task decodes the whole history once more."""
    async with plane.working(cached):
        handle = await plane.begin(plane.api, "parent", "go")
        await handle.signal("hear", "signal")
        assert await handle.execute_update("tell", "update", result_type=str) == "told update"
        assert "signal" in await handle.query("so_far", result_type=list[str])
        async with asyncio.timeout(HANG_SECONDS):
            found = await handle.result()
    assert found == ["GO", "GO-CHILD", "({'why': 'bad'},)", "child", "signal", "update"]
    async for event in handle.fetch_history_events():
        assert not event.HasField("workflow_task_failed_event_attributes"), event


async def test_a_strangers_workflow_does_nothing(plane: Plane) -> None:
    async with plane.working():
        handle = await plane.begin(plane.stranger, "parent", "forged")
        assert "that this control plane has not made" in await until_refused(handle)
    assert started == []
    await handle.terminate()


async def test_a_strangers_signal_is_not_heard(plane: Plane) -> None:
    async with plane.working():
        ours = await plane.begin(plane.api, "parent", "go")
        theirs = plane.stranger.get_workflow_handle(ours.id)
        await theirs.signal("hear", "forged")
        assert "that this control plane has not made" in await until_refused(ours)
    history = [event async for event in ours.fetch_history_events()]
    assert not [event for event in history if event.HasField("workflow_execution_completed_event_attributes")]
    await ours.terminate()


async def test_a_strangers_answer_for_the_control_plane_is_not_taken(plane: Plane) -> None:
    async with plane.working():
        handle = await plane.begin(plane.api, "waiting", "later")
        async with asyncio.timeout(HANG_SECONDS):
            while not started:
                await asyncio.sleep(0.02)
        activity_handle = plane.stranger.get_async_activity_handle(
            workflow_id=handle.id, run_id=handle.result_run_id, activity_id="accept-later"
        )
        await activity_handle.complete("forged")
        assert "that this control plane has not made" in await until_refused(handle)
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await handle.terminate()


async def test_what_was_made_for_one_workflow_is_no_good_for_another(plane: Plane) -> None:
    """A stranger who reads histories sends their bytes again."""
    async with plane.working():
        first = await plane.begin(plane.api, "waiting", "go")
        await first.result()
        history = [event async for event in first.fetch_history_events()]
        (kept,) = history[0].workflow_execution_started_event_attributes.input.payloads
        assert proofs.PROOF in kept.metadata
        again = await plane.begin(with_codec(plane.stranger, Sent(kept)), "waiting", "x")
        assert "that this control plane has not made" in await until_refused(again)
    assert started == ["go"]
    await again.terminate()


class Sent(ProvingCodec):
    """Sends one payload, whatever it is given."""

    def __init__(self, payload: Payload) -> None:
        self._sent = payload

    def with_context(self, context: object) -> Sent:
        return self

    async def encode(self, payloads: object) -> list[Payload]:
        return [self._sent]


async def test_workflows_that_began_before_go_on(plane: Plane) -> None:
    handle = await plane.begin(plane.stranger, "waiting", "go")
    plane.earlier.add(handle.id)
    async with plane.working():
        assert await handle.result() == "GO"


async def test_a_schedules_terms_are_good_at_each_of_its_times(plane: Plane) -> None:
    name = f"schedule/{uuid.uuid4().hex}"
    action = ScheduleActionStartWorkflow("waiting", "go", id=name, task_queue=plane.queue)
    schedule = await plane.api.create_schedule(name, Schedule(action=action, spec=ScheduleSpec()))
    async with plane.working():
        await schedule.trigger()
        async with asyncio.timeout(HANG_SECONDS):
            while not (ran := (await schedule.describe()).info.recent_actions):
                await asyncio.sleep(0.05)
            found = ran[0].action
            assert isinstance(found, ScheduleActionExecutionStartWorkflow)
            assert found.workflow_id != name
            assert await plane.api.get_workflow_handle(found.workflow_id).result() == "GO"
    await schedule.delete()


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload.metadata.pop(proofs.PROOF),
        lambda payload: payload.metadata.update({proofs.PROOF: b"x" * 32}),
        lambda payload: payload.metadata.update({"encoding": b"json/other"}),
        lambda payload: payload.metadata.update({"more": b""}),
        lambda payload: setattr(payload, "data", b'"rm"'),
    ],
)
async def test_an_altered_payload_is_refused(change: Callable[[Payload], object]) -> None:
    context = WorkflowSerializationContext(namespace="default", workflow_id="run/1")
    proving = ProvingCodec(b"k" * 32).with_context(context)
    (payload,) = await proving.encode([Payload(data=b'"ls"', metadata={"encoding": b"json/plain"})])
    codec = ControlCodec(SigningCodec(lambda: pytest.fail("signs")), ProvingCodec(b"k" * 32), ()).with_context(context)
    assert await codec.decode([payload]) == [payload]
    change(payload)
    with pytest.raises(InvalidError, match="run/1"):
        await codec.decode([payload])


def test_a_key_is_made_once(tmp_path: Path) -> None:
    key = WorkKey(tmp_path / "steps" / "work.key")
    made = key.ensure()
    assert key.ensure() == made == key.read()
    assert (tmp_path / "steps" / "work.key").stat().st_mode & 0o777 == 0o600
    assert not key.is_complete
    key.write_earlier(["run/2", "run/1"])
    assert key.is_complete
    assert key.earlier() == {"run/1", "run/2"}


@pytest.mark.parametrize("text", [b"", b"short", b"\xff" * 64])
def test_a_key_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "work.key"
    path.write_bytes(text)
    with pytest.raises(InvalidError, match=r"work\.key"):
        WorkKey(path).ensure()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "steps").write_text("not a folder")
    with pytest.raises((UnavailableError, InvalidError), match=r"work\.key"):
        WorkKey(tmp_path / "steps" / "work.key").ensure()


def test_the_queues_of_nodes_are_told_apart() -> None:
    assert queues.is_of_a_node(queues.node_queue("a"))
    assert queues.is_of_a_node(queues.node_control_queue("a"))
    assert not queues.is_of_a_node(queues.CONTROL_PLANE)
    names = [queues.node_queue("a-1"), queues.node_control_queue("a-1"), queues.CONTROL_PLANE]
    assert [queues.node_of(name) for name in names] == ["a-1", "a-1", ""]
