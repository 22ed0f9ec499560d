"""An answer reaches Temporal however long it is away, and whoever is killed meanwhile."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from agent_worker.answers import AnswerInterceptor, Answers
from agent_worker.journal import SqliteJournal
from gamekeeper.domain.run.step import StepResult, StepState
from tests.hang import HANG_SECONDS

DELIVERIES: list[int] = []
ENDED = StepResult(state=StepState.SUCCEEDED, exit_code=0)


@workflow.defn(sandboxed=False)
class OneActivity:
    @workflow.run
    async def run(self, name: str) -> StepResult:
        result: StepResult = await workflow.execute_activity(
            name,
            result_type=StepResult,
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=timedelta(minutes=2),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10)),
        )
        return result


class Cut:
    """A TCP way to the server that can be cut: connections end, and new ones are refused."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, back}
        await asyncio.gather(_pump(reader, back), _pump(there, writer))
        self._writers -= {writer, back}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Bench:
    """A worker whose way to the server can be cut while its one activity ends."""

    def __init__(self, direct: Client, cut: Cut, journal: SqliteJournal) -> None:
        self.direct = direct
        self.cut = cut
        self.journal = journal
        self.queue = uuid.uuid4().hex
        self.running = asyncio.Event()
        self.may_end = asyncio.Event()
        self.token = b""
        self.message = ""

    @activity.defn(name="ends")
    async def ends(self) -> StepResult:
        DELIVERIES.append(activity.info().attempt)
        self.token = activity.info().task_token
        self.running.set()
        await self.may_end.wait()
        return ENDED

    @activity.defn(name="unspeakable")
    async def unspeakable(self) -> StepResult:
        DELIVERIES.append(activity.info().attempt)
        return StepResult(state=StepState.SUCCEEDED, exit_code=0, message=self.message)

    @activity.defn(name="fails_unspeakably")
    async def fails_unspeakably(self) -> StepResult:
        DELIVERIES.append(activity.info().attempt)
        raise ApplicationError(self.message, non_retryable=True)

    @activity.defn(name="fails_once")
    async def fails_once(self) -> StepResult:
        DELIVERIES.append(activity.info().attempt)
        self.running.set()
        await self.may_end.wait()
        if activity.info().attempt == 1:
            raise ApplicationError("the engine is away")
        return ENDED

    async def start(self, name: str) -> WorkflowHandle[OneActivity, StepResult]:
        return await self.direct.start_workflow(OneActivity.run, name, id=uuid.uuid4().hex, task_queue=self.queue)

    def workflows(self) -> Worker:
        runner = UnsandboxedWorkflowRunner()
        return Worker(self.direct, task_queue=self.queue, workflows=[OneActivity], workflow_runner=runner)

    async def agent(self) -> Worker:
        client = await Client.connect(f"127.0.0.1:{self.cut.port}", data_converter=pydantic_data_converter)
        return Worker(
            client,
            task_queue=self.queue,
            activities=[self.ends, self.fails_once, self.unspeakable, self.fails_unspeakably],
            interceptors=[AnswerInterceptor(Answers(client, self.journal))],
        )


@pytest.fixture
async def bench(temporal_client: Client, tmp_path: Path) -> AsyncIterator[Bench]:
    cut = Cut(temporal_client.service_client.config.target_host)
    await cut.open()
    journal = SqliteJournal(tmp_path / "journal.db")
    DELIVERIES.clear()
    yield Bench(temporal_client, cut, journal)
    await cut.cut()
    journal.close()


@pytest.mark.parametrize(("name", "deliveries"), [("ends", [1]), ("fails_once", [1, 2])])
async def test_an_answer_is_told_when_the_server_is_back(bench: Bench, name: str, deliveries: list[int]) -> None:
    """The heartbeat timeout is longer than the test may take: only the answer itself ends the activity."""
    async with asyncio.timeout(HANG_SECONDS), bench.workflows(), await bench.agent():
        handle = await bench.start(name)
        await bench.running.wait()
        await bench.cut.cut()
        bench.may_end.set()
        if name == "ends":
            while not bench.journal.kept_answers():
                await asyncio.sleep(0.05)
        await bench.cut.open()
        assert await handle.result() == ENDED
        assert deliveries == DELIVERIES
        while bench.journal.kept_answers():
            await asyncio.sleep(0.05)


async def test_a_killed_agents_result_is_told_by_the_next(bench: Bench) -> None:
    """A kill leaves a result in the journal, and a delivery that nobody works on."""
    async with asyncio.timeout(HANG_SECONDS), bench.workflows():
        async with await bench.agent():
            handle = await bench.start("ends")
            await bench.running.wait()
            bench.journal.keep_answer(bench.token, ENDED.model_dump_json())
            await Answers(bench.direct, bench.journal).hand_over(bench.journal.kept_answers(), [])
            assert await handle.result() == ENDED
            assert bench.journal.kept_answers() == {}
            bench.may_end.set()
        assert DELIVERIES == [1]


UNSPEAKABLE = {
    "over the limit of a payload": "x" * 3_000_000,
    "over the limit of a call": "x" * 5_000_000,
    "over all limits": "x" * 140_000_000,
    "no text": "a \udcff of a file name",
}


@pytest.mark.parametrize("name", ["unspeakable", "fails_unspeakably"])
@pytest.mark.parametrize("message", UNSPEAKABLE.values(), ids=UNSPEAKABLE)
async def test_an_answer_that_nobody_takes_is_an_error_at_once(bench: Bench, name: str, message: str) -> None:
    """The next delivery would only bring the same answer."""
    bench.message = message
    async with asyncio.timeout(HANG_SECONDS), bench.workflows(), await bench.agent():
        handle = await bench.start(name)
        with pytest.raises(WorkflowFailureError) as raised:
            await handle.result()
    assert DELIVERIES == [1]
    assert isinstance(raised.value.cause, ActivityError)
    assert 0 < len(str(raised.value.cause.cause)) < 10_000


async def test_a_killed_agents_result_that_nobody_takes_is_an_error(bench: Bench) -> None:
    large = ENDED.model_copy(update={"message": UNSPEAKABLE["over the limit of a call"]})
    async with asyncio.timeout(HANG_SECONDS), bench.workflows(), await bench.agent():
        handle = await bench.start("ends")
        await bench.running.wait()
        bench.journal.keep_answer(bench.token, large.model_dump_json())
        await Answers(bench.direct, bench.journal).hand_over(bench.journal.kept_answers(), [])
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert bench.journal.kept_answers() == {}
        bench.may_end.set()
    assert DELIVERIES == [1]
