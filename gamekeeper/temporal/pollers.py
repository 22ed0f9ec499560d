"""The workers that ask a task queue for work, as Temporal knows them.

Temporal lists a worker for five minutes after its last poll, and a poll lasts a minute at most. So workers are there
while the newest poll is seen to change. The times themselves are another machine's clock, and prove nothing.
Temporal also notes the end of a poll whose worker hangs: its silence begins up to a minute after it does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from gamekeeper.temporal.goaway import past_goaway

CALL_TIMEOUT = timedelta(seconds=10)
POLL_SECONDS = 60.0
SILENCE_SECONDS = POLL_SECONDS + 15.0


class Pollers:
    """The pollers of one queue, for workflow tasks or for activities. ``clock`` gives seconds and never goes back."""

    def __init__(
        self,
        queue: str,
        clock: Callable[[], float] = time.monotonic,
        kind: TaskQueueType.ValueType = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    ) -> None:
        self._queue = queue
        self._kind = kind
        self._clock = clock
        self._newest: int | None = None
        self._changed_at = 0.0

    async def ask(self, client: Client) -> str:
        """Empty while a worker polls, else what is wrong. Raises RPCError, within ``CALL_TIMEOUT``."""
        request = DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=self._queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL),
            task_queue_type=self._kind,
        )
        # Its own time limit begins when it is sent, and while packets vanish no connection comes about to send it on.
        try:
            async with asyncio.timeout(CALL_TIMEOUT.total_seconds()):
                answer = await past_goaway(
                    lambda: client.workflow_service.describe_task_queue(request, timeout=CALL_TIMEOUT)
                )
        except TimeoutError as error:
            raise RPCError("no answer in time", RPCStatusCode.DEADLINE_EXCEEDED, b"") from error
        return self.judge(max((poller.last_access_time.ToNanoseconds() for poller in answer.pollers), default=None))

    def judge(self, newest: int | None) -> str:
        """``newest`` is the time of the newest poll in nanoseconds, None where nobody polled for minutes."""
        now = self._clock()
        if newest is None:
            return "none takes work from Temporal"
        if newest != self._newest:
            self._newest, self._changed_at = newest, now
        silence = now - self._changed_at
        return f"none has asked Temporal for work for {silence:.0f} s" if silence > SILENCE_SECONDS else ""
