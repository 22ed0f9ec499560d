"""The agent's Temporal workers: one for steps, one for short activities that must never wait behind them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio.worker import PollerBehaviorAutoscaling, Worker

from activities.node.context import NodeContext
from activities.node.instance.instances import InstanceActivities
from activities.node.step.steps import StepActivities
from agent_worker.answers import AnswerInterceptor, Answers
from agent_worker.bootstrap import Agent
from agent_worker.identity import Identity
from agent_worker.inputs import SignedInputs
from agent_worker.secrets.fetched import FetchedSecrets
from gamekeeper.temporal import queues

MAX_STEPS = 1000
MAX_POLLERS = 8
PUSHED_HEARTBEAT_SECONDS = 10.0
POLLED_HEARTBEAT_SECONDS = 0.7  # without pushed cancels a beat is how a cancel is heard of, within a second


def build_workers(
    agent: Agent, answers: Answers, identity: Identity, hand_over: timedelta = timedelta()
) -> list[Worker]:
    """Two queues in one process, so that a stop never waits behind steps. They begin with the client of ``answers``.

    ``hand_over`` is how long steps may go on towards their end once the workers are being shut down.
    """
    beat = PUSHED_HEARTBEAT_SECONDS if identity.cancel_is_pushed else POLLED_HEARTBEAT_SECONDS
    context = NodeContext(
        agent.engines.masked,
        agent.journal,
        agent.follower,
        agent.link,
        agent.reaper,
        agent.policy,
        SignedInputs(),
        heartbeat_seconds=beat,
        secrets=FetchedSecrets(agent.link.calls),
    )
    steps = StepActivities(context)
    instances = InstanceActivities(agent.instances.keeper, SignedInputs(), agent.journal, beat)
    node = identity.node_id
    plan: dict[str, list[Callable[..., Any]]] = {
        queues.node_queue(node): [steps.run_job, steps.start_service],
        queues.node_control_queue(node): [steps.stop_service, instances.carry_out, instances.type_in],
    }
    return [
        Worker(
            answers.client,
            task_queue=queue,
            activities=activities,
            interceptors=[AnswerInterceptor(answers)],
            max_concurrent_activities=MAX_STEPS,
            activity_task_poller_behavior=PollerBehaviorAutoscaling(minimum=1, initial=1, maximum=MAX_POLLERS),
            graceful_shutdown_timeout=hand_over,
            max_heartbeat_throttle_interval=timedelta(seconds=beat),
            default_heartbeat_throttle_interval=timedelta(seconds=beat),
        )
        for queue, activities in plan.items()
    ]
