"""Options of every activity, built here alone, so that none is without a heartbeat timeout or a time limit."""

from dataclasses import replace
from datetime import timedelta
from typing import TypedDict

from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType

# The machinery alone is retried here; a step's own tries are counted by the workflow.
MACHINERY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10), maximum_attempts=0
)
UNHEARD_OF = "NotFoundError"  # the SDK's word for an activity that its worker does not have
# An agent that keeps no instances would be asked for ever.
TO_A_KEEPER = replace(MACHINERY, non_retryable_error_types=[UNHEARD_OF])
HEARTBEAT_TIMEOUT = timedelta(seconds=60)
START_TO_CLOSE_MARGIN = timedelta(minutes=5)
STOP_MARGIN = timedelta(minutes=2)
ORDER_LIMIT = timedelta(days=1)
# A line of a console is for this moment. A second delivery finds an agent that was started again.
TO_A_CONSOLE = replace(TO_A_KEEPER, maximum_attempts=2)
LINE_LIMIT = timedelta(seconds=60)
# A receiver that is away for a night still gets its messages, and one that is away for good costs little.
TO_A_CHANNEL = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5), maximum_attempts=0
)
DELIVERY_LIMIT = timedelta(hours=12)
DELIVERY_TRY = timedelta(seconds=60)


class ActivityOptions(TypedDict):
    task_queue: str
    start_to_close_timeout: timedelta
    schedule_to_start_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType
    summary: str
    priority: Priority


def step_priority(priority: int, run_id: str) -> Priority:
    """The user's 0 to 100 (most urgent) as Temporal's 5 to 1; within one priority runs take turns on a node."""
    return Priority(priority_key=5 - priority * 5 // 101, fairness_key=run_id)


def node_activity(
    task_queue: str,
    *,
    work: timedelta,
    grace: timedelta,
    node_wait: timedelta,
    summary: str,
    priority: Priority = Priority.default,
) -> ActivityOptions:
    """Options of an activity on a node: ``work`` and ``grace`` bound it on the agent, the margin is the safety net.

    The wait for a start finds an offline node, and is armed again for each delivery. Without a heartbeat timeout
    a frozen agent would swallow the task for the whole of ``work``.
    """
    return ActivityOptions(
        task_queue=task_queue,
        start_to_close_timeout=work + grace + START_TO_CLOSE_MARGIN,
        schedule_to_start_timeout=node_wait,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=MACHINERY,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
        priority=priority,
    )


def keeper_activity(task_queue: str, *, summary: str) -> ActivityOptions:
    """Options of an order to a node's keeper. A node that is away gets it when it is back: its start has no limit.

    The keeper bounds its own work; an order that lasts a day is given again, and waits for the same end.
    """
    return ActivityOptions(
        task_queue=task_queue,
        start_to_close_timeout=ORDER_LIMIT,
        schedule_to_start_timeout=None,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=TO_A_KEEPER,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
        priority=Priority.default,
    )


def console_activity(task_queue: str, *, summary: str) -> ActivityOptions:
    """Options of a line for a console on a node: a node that is away does not get it later."""
    return ActivityOptions(
        task_queue=task_queue,
        start_to_close_timeout=LINE_LIMIT,
        schedule_to_start_timeout=LINE_LIMIT,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=TO_A_CONSOLE,
        cancellation_type=ActivityCancellationType.ABANDON,
        summary=summary,
        priority=Priority.default,
    )


def machinery(words: str) -> str:
    """The summary of an activity that is no step of a user: it is told apart from those in Temporal's UI."""
    return f"machinery: {words}"


def control_activity(task_queue: str, *, summary: str) -> ActivityOptions:
    """Options of a short activity of the control plane: it is retried until the database answers."""
    return ActivityOptions(
        task_queue=task_queue,
        start_to_close_timeout=timedelta(seconds=30),
        schedule_to_start_timeout=None,
        heartbeat_timeout=None,
        retry_policy=MACHINERY,
        cancellation_type=ActivityCancellationType.ABANDON,
        summary=machinery(summary),
        priority=Priority.default,
    )


class DeliveryOptions(ActivityOptions):
    schedule_to_close_timeout: timedelta


def delivery_activity(task_queue: str, *, summary: str) -> DeliveryOptions:
    """Options of a message to a channel: tried again, ever more seldom, until its limit."""
    return DeliveryOptions(
        task_queue=task_queue,
        start_to_close_timeout=DELIVERY_TRY,
        schedule_to_start_timeout=None,
        schedule_to_close_timeout=DELIVERY_LIMIT,
        heartbeat_timeout=None,
        retry_policy=TO_A_CHANNEL,
        cancellation_type=ActivityCancellationType.ABANDON,
        summary=machinery(summary),
        priority=Priority.default,
    )


class LocalActivityOptions(TypedDict):
    start_to_close_timeout: timedelta
    retry_policy: RetryPolicy
    summary: str


def local_activity(*, summary: str) -> LocalActivityOptions:
    """Options of a short activity that the control worker runs itself, within a workflow task."""
    return LocalActivityOptions(
        start_to_close_timeout=timedelta(seconds=30), retry_policy=MACHINERY, summary=machinery(summary)
    )


def long_control_activity(task_queue: str, *, work: timedelta, summary: str, priority: Priority) -> ActivityOptions:
    """Options of an activity of the control plane that waits for something on a node: ``work`` bounds it, and its
    heartbeats bring it a cancel and find a worker that died."""
    return ActivityOptions(
        task_queue=task_queue,
        start_to_close_timeout=work + START_TO_CLOSE_MARGIN,
        schedule_to_start_timeout=None,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=MACHINERY,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        summary=summary,
        priority=priority,
    )
