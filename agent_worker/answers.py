"""Hands the answers of activities to Temporal, however long it is away.

The SDK's core gives a completion up after some ten seconds of tries, and the step then stands until its heartbeat
timeout has passed. So each activity of the agent completes itself, which costs the same one call, and tries until the
server has taken it. A result that could not be told at once is journaled: the next agent tells it after a kill.

An answer that Temporal refuses, or that no payload takes, would come out of every further delivery as well. So it is
told in plain words instead, as a failure that is not tried again, which is the step's error.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from agent_worker.journal import SqliteJournal
from gamekeeper.backoff import Backoff
from gamekeeper.domain.run.limits import shortened
from gamekeeper.domain.run.step import StepResult
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

CALL_TIMEOUT = timedelta(seconds=10)
LONGEST_WAIT_SECONDS = 3.0
RETRY_AT_ONCE = timedelta(milliseconds=1)
# The answer itself is wrong. What may be the state of a server, or of a proxy before it, is waited for.
REFUSALS = (RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.OUT_OF_RANGE)
_TOO_LARGE = re.compile("larger than|too large", re.IGNORECASE)


class Answers:
    """Tells Temporal what came of deliveries, by their task tokens. ``client`` may be set anew."""

    def __init__(self, client: Client, journal: SqliteJournal) -> None:
        self.client = client
        self._journal = journal

    async def result(self, token: bytes, result: Any, beat: Callable[[], None]) -> None:
        """``beat`` is called before each further try."""
        handle = self.client.get_async_activity_handle(task_token=token)

        async def later() -> None:
            if isinstance(result, StepResult):
                await self._journaled(self._journal.keep_answer, token, result.model_dump_json())

        try:
            late = await self._until_taken(lambda: handle.complete(result, rpc_timeout=CALL_TIMEOUT), beat, later)
        except Exception as refusal:  # encoding raises errors of many kinds
            late = await self._plainly(token, f"the result can't be told: {refusal}", beat, final=True)
        if late:
            await self._journaled(self._journal.answered, token)

    async def failure(self, token: bytes, error: Exception, beat: Callable[[], None]) -> None:
        handle = self.client.get_async_activity_handle(task_token=token)
        try:
            await self._until_taken(lambda: handle.fail(error, rpc_timeout=CALL_TIMEOUT), beat)
        except Exception as refusal:
            final = isinstance(error, ApplicationError) and error.non_retryable
            await self._plainly(token, f"{error} ({refusal})", beat, final=final)

    async def _plainly(self, token: bytes, text: str, beat: Callable[[], None], *, final: bool) -> bool:
        """Tells that there was an answer which can't be told. Raises RPCError when even that is refused."""
        message = shortened(text.encode(errors="backslashreplace").decode())
        log.error("an answer is refused: %s", message)
        failure = ApplicationError(message, type="answer_refused", non_retryable=final)
        handle = self.client.get_async_activity_handle(task_token=token)
        return await self._until_taken(lambda: handle.fail(failure, rpc_timeout=CALL_TIMEOUT), beat)

    async def cancellation(self, token: bytes, beat: Callable[[], None]) -> None:
        handle = self.client.get_async_activity_handle(task_token=token)
        await self._until_taken(lambda: handle.report_cancellation(rpc_timeout=CALL_TIMEOUT), beat)

    async def hand_over(self, results: dict[bytes, str], tokens: Sequence[bytes]) -> None:
        """Tells what an earlier process knew, and fails its other deliveries, so that Temporal hands their steps out
        again at once."""
        failure = ApplicationError("the agent was restarted", type="AgentRestarted", next_retry_delay=RETRY_AT_ONCE)
        for token, text in results.items():
            with suppress(RPCError):
                await self.result(token, StepResult.model_validate_json(text), _no_beat)
            await self._journaled(self._journal.answered, token)
        for token in tokens:
            with suppress(RPCError):
                await self.failure(token, failure, _no_beat)

    async def _until_taken(
        self,
        call: Callable[[], Awaitable[None]],
        beat: Callable[[], None],
        later: Callable[[], Awaitable[None]] | None = None,
    ) -> bool:
        """Tries until the server has the answer, or has no use for it any more; True when the first try did not do.
        ``later`` is done once, after that."""
        backoff = Backoff(initial=0.2, maximum=LONGEST_WAIT_SECONDS)
        while True:
            try:
                await call()
                return backoff.failures > 0
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:  # timed out, canceled, or taken already
                    return backoff.failures > 0
                if _is_refusal(error):
                    raise
                if not backoff.failures:
                    log.warning("an answer waits until Temporal takes it: %s", error)
                    if later:
                        await later()
            beat()
            await asyncio.sleep(backoff.next_delay())

    async def _journaled(self, note: Callable[..., None], *arguments: object) -> None:
        """A full disk must not keep a result from being told."""
        try:
            await asyncio.to_thread(note, *arguments)
        except UnavailableError as error:
            log.warning("an answer is not journaled: %s", error)


def _is_refusal(error: RPCError) -> bool:
    """A limit on calls that is exhausted is no refusal, though it has the status of a message that is too large."""
    too_large = error.status is RPCStatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(error.message)
    return bool(too_large) or error.status in REFUSALS


def _no_beat() -> None:
    return None


class AnswerInterceptor(Interceptor):
    """Lets every activity of a worker complete itself."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Answering(next, self._answers)


class _Answering(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, answers: Answers) -> None:
        super().__init__(next)
        self._answers = answers

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        token = activity.info().task_token
        try:
            result = await super().execute_activity(input)
        except asyncio.CancelledError:
            if not _stop_is_requested():
                raise  # the SDK answers as the kind of the cancel asks
            await _through_cancels(self._answers.cancellation(token, activity.heartbeat))
        except Exception as error:
            await _through_cancels(self._answers.failure(token, error, activity.heartbeat))
        else:
            await _through_cancels(self._answers.result(token, result, activity.heartbeat))
        activity.raise_complete_async()


def _stop_is_requested() -> bool:
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


async def _through_cancels(telling: Awaitable[None]) -> None:
    """A cancel that somebody asks for comes too late for an answer; any other means that nobody waits for it here."""
    task = asyncio.ensure_future(telling)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not _stop_is_requested():
                task.cancel()
                raise
    task.result()
