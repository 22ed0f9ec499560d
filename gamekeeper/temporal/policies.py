"""Options of every activity, built here alone, so that none is without a heartbeat timeout or a time limit."""

from datetime import timedelta
from typing import TypedDict

from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType

# The machinery alone is retried here; a step's own tries are counted by the workflow.
MACHINERY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10), maximum_attempts=0
)
HEARTBEAT_TIMEOUT = timedelta(seconds=60)
START_TO_CLOSE_MARGIN = timedelta(minutes=5)
STOP_MARGIN = timedelta(minutes=2)


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


def control_activity(task_queue: str, *, summary: str) -> ActivityOptions:
    """Options of a short activity of the control plane: it is retried until the database answers. Its summary tells it
    apart from the steps of users in Temporal's UI."""
    return ActivityOptions(
        task_queue=task_queue,
        start_to_close_timeout=timedelta(seconds=30),
        schedule_to_start_timeout=None,
        heartbeat_timeout=None,
        retry_policy=MACHINERY,
        cancellation_type=ActivityCancellationType.ABANDON,
        summary=f"machinery: {summary}",
        priority=Priority.default,
    )
