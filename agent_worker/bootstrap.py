"""Builds the agent: engine, journal, spool, link, and its two workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker

from activities.node.steps import NodeParts, StepActivities
from agent_worker.facts import gather_facts
from agent_worker.identity import Identity
from agent_worker.journal import SqliteJournal
from agent_worker.link import Introduction, Link
from agent_worker.log_follower import LogFollower
from agent_worker.reaper import Reaper
from agent_worker.settings import AgentSettings
from agent_worker.spool import Spool
from agent_worker.uploader import Uploader
from gamekeeper.domain.policy import NodePolicy
from gamekeeper.ports.container_engine import ContainerEngine
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.temporal import queues

MAX_STEPS = 1000
PUSHED_HEARTBEAT_SECONDS = 10.0
POLLED_HEARTBEAT_SECONDS = 0.7  # without pushed cancels a beat is how a cancel is heard of, within a second


@dataclass(frozen=True)
class Agent:
    engine: ContainerEngine
    journal: SqliteJournal
    link: Link
    follower: LogFollower
    uploader: Uploader
    reaper: Reaper
    policy: NodePolicy


def build_engine(settings: AgentSettings, node_id: str) -> ContainerEngine:
    if settings.engine == "dummy":
        from agent_worker.dummy_engine import DummyEngine

        return DummyEngine(node_id)
    from agent_worker.docker_engine import DockerEngine

    return DockerEngine(node_id)


def build(
    settings: AgentSettings, identity: Identity, policy: NodePolicy, welcomed: Callable[[pb.Welcome], None]
) -> Agent:
    engine = build_engine(settings, identity.node_id)
    journal = SqliteJournal(settings.state_dir / "journal.db")
    spool = Spool(settings.state_dir / "spool.db")
    introduction = Introduction(partial(gather_facts, engine, settings.state_dir), policy)
    link = Link(settings.server, identity, introduction, welcomed)
    follower = LogFollower(engine, spool)
    reaper = Reaper(engine, link, spool, journal, follower)
    return Agent(engine, journal, link, follower, Uploader(link, spool, reaper), reaper, policy)


def build_workers(agent: Agent, client: Client, identity: Identity) -> list[Worker]:
    """Two queues in one process, so that a stop never waits behind steps."""
    beat = PUSHED_HEARTBEAT_SECONDS if identity.cancel_is_pushed else POLLED_HEARTBEAT_SECONDS
    parts = NodeParts(agent.engine, agent.journal, agent.follower, agent.link, agent.reaper, agent.policy, beat)
    steps = StepActivities(parts)
    node = identity.node_id
    plan: dict[str, list[Callable[..., Any]]] = {
        queues.node_queue(node): [steps.run_job, steps.start_service],
        queues.node_control_queue(node): [steps.stop_service],
    }
    return [
        Worker(
            client,
            task_queue=queue,
            activities=activities,
            max_concurrent_activities=MAX_STEPS,
            activity_task_poller_behavior=PollerBehaviorSimpleMaximum(1),
            max_heartbeat_throttle_interval=timedelta(seconds=beat),
            default_heartbeat_throttle_interval=timedelta(seconds=beat),
        )
        for queue, activities in plan.items()
    ]
