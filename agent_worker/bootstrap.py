"""Builds the agent: engine, journal, spool, link, and all that works on them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent_worker.engine import Engines, build_engines
from agent_worker.instance.instances import Instances, build_instances
from agent_worker.journal import SqliteJournal
from agent_worker.logs.log_follower import TAKE_UP_SECONDS, LogFollower
from agent_worker.logs.spool import Spool
from agent_worker.logs.uploader import Uploader
from agent_worker.machine.facts import gather_facts
from agent_worker.machine.gpu import Gpus
from agent_worker.machine.inventory import InventoryReporter, gather_inventory
from agent_worker.machine.node_metrics import NodeSampler
from agent_worker.machine.telemetry import Telemetry
from agent_worker.node_link.consoles import Consoles
from agent_worker.node_link.membership import Membership
from agent_worker.node_link.session import Introduction, Link
from agent_worker.node_link.subscription import Subscription
from agent_worker.reaper import Reaper
from agent_worker.settings import AgentSettings
from gamekeeper.ports.node_policy import OwnPolicy
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.supervised import Supervised

POLICY_SECONDS = 5.0


@dataclass(frozen=True)
class Agent:
    engines: Engines
    journal: SqliteJournal
    spool: Spool
    link: Link
    follower: LogFollower
    uploader: Uploader
    reaper: Reaper
    telemetry: Telemetry
    inventory: InventoryReporter
    subscription: Subscription
    policy: OwnPolicy
    membership: Membership
    instances: Instances

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """All that runs for as long as the agent does, its workers aside. No error ends any of it."""
        return [
            Supervised("the node link").endless(self.link.run_forever),
            self.uploader.care.endless(self.uploader.run_forever),
            self.reaper.care.endless(self.reaper.run_forever),
            *self.instances.work(),
            Supervised("the care for logs").forever(self.follower.take_up, TAKE_UP_SECONDS),
            Supervised("the sampling of this machine").endless(partial(self.telemetry.sample_forever, self.link)),
            self.telemetry.sending.endless(partial(self.telemetry.send_forever, self.link)),
            Supervised("the inventory").endless(self.inventory.run_forever),
            Supervised("the policy file").forever(self.inventory.look_at_policy, POLICY_SECONDS),
            Supervised("the subscription").endless(self.subscription.run_forever),
            Supervised("the renewal of the certificate").endless(partial(self.membership.renew_forever, self.link)),
        ]


def build(
    settings: AgentSettings, membership: Membership, policy: OwnPolicy, welcomed: Callable[[pb.Welcome], None]
) -> Agent:
    engines = build_engines(settings, membership.identity.node_id)
    engine = engines.masked
    folder = settings.state_dir
    journal, spool = SqliteJournal(folder / "journal.db"), Spool(folder / "spool.db", limit_bytes=settings.spool_bytes)
    gpus = Gpus()
    telemetry = Telemetry(engine, lambda: spool.held_bytes, NodeSampler(folder, gpus))
    introduction = Introduction(partial(gather_facts, engine, folder), policy, telemetry.vitals)

    def told(welcome: pb.Welcome) -> None:
        telemetry.keep_period(welcome.metrics_ms / 1000)
        uploader.bytes_per_second = welcome.log_bytes_per_second
        inventory.ask()
        instances.reports.ask()
        welcomed(welcome)

    link = Link(membership.servers, membership.identity, introduction, told, settings.compression, *membership.asking)
    follower = LogFollower(engines.bare, spool, engines.secrets)
    reaper = Reaper(engine, link, spool, journal, follower)
    instances = build_instances(engine, folder, follower, policy, link, reaper.changed, settings.proc)
    reaper.instances = instances.keeper
    uploader = Uploader(link, spool, reaper)
    inventory = InventoryReporter(link, partial(gather_inventory, engine, folder, gpus), policy.model_dump_json)
    directives: dict[int, Callable[[], None]] = {
        pb.DIRECTIVE_REPORT_CONTAINERS: reaper.changed,
        pb.DIRECTIVE_REPORT_INVENTORY: inventory.ask,
        pb.DIRECTIVE_RENEW_CERTIFICATE: membership.ask,
    }
    consoles = Consoles(engine, link, policy, instances.keeper.names_of)
    subscription = Subscription(link, folder / "events.seq", directives, consoles.open)
    parts = (engines, journal, spool, link, follower, uploader, reaper, telemetry, inventory, subscription)
    return Agent(*parts, policy, membership, instances)
