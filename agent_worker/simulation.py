"""Many agents in one process, with real links and made-up machines: for load tests, and for work on the UI.

Each has its own identity, session, metrics, inventory and subscription, over connections of its own. They take no
steps: a thousand pairs of Temporal workers are another machine's load.
"""

from __future__ import annotations

import asyncio
import json
import math
import resource
import time
import zlib
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from agent_worker.dummy_engine import DummyEngine
from agent_worker.identity import Identity
from agent_worker.machine.inventory import InventoryReporter
from agent_worker.machine.telemetry import Telemetry
from agent_worker.node_link.consoles import Consoles
from agent_worker.node_link.membership import Joining, Membership, NewKey, OwnKey
from agent_worker.node_link.servers import parse_servers
from agent_worker.node_link.session import Introduction, Link
from agent_worker.node_link.subscription import Subscription
from gamekeeper import __version__
from gamekeeper.backoff import Backoff
from gamekeeper.certificates.node_key import csr, new_key, own_fingerprint
from gamekeeper.domain.node.inventory import Disk, Gpu, Inventory, NetworkInterface
from gamekeeper.domain.node.node import NodeFacts
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.supervised import Supervised
from gamekeeper.whole_file import write_whole

log = get_logger(__name__)

REGISTRATIONS = 20
LONGEST_WAIT_SECONDS = 5.0
FILES_PER_AGENT = 4


async def simulate(server: str, tokens_file: Path, state_dir: Path) -> None:
    """``tokens_file`` maps node ids to enrolment tokens; identities are kept in ``state_dir`` for the next time."""
    joining = Joining(parse_servers(server), _shared_key())
    identities = await _identities(joining, json.loads(tokens_file.read_text()), state_dir / "identities.json")
    wanted = FILES_PER_AGENT * len(identities) + 200
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(1024, wanted)), hard))
    agents = [SimulatedAgent(Membership(joining, identity), state_dir) for identity in identities]
    log.info("simulating %d agents", len(agents))
    await asyncio.gather(*[part for agent in agents for part in agent.work()])


def _shared_key() -> NewKey:
    """One key for all of them: a thousand child processes that make keys would be a load of their own."""
    key = new_key()
    own = OwnKey(key, csr(key), own_fingerprint(key))

    async def ask() -> OwnKey:
        return own

    return ask


async def _identities(joining: Joining, tokens: dict[str, str], path: Path) -> list[Identity]:
    """Each joins by its token, or comes back by its node key."""
    known = {item["node_id"]: Identity(**item) for item in (json.loads(path.read_text()) if path.exists() else [])}
    slots = asyncio.Semaphore(REGISTRATIONS)

    async def enter(node_id: str, token: str) -> None:
        backoff = Backoff(maximum=LONGEST_WAIT_SECONDS)
        async with slots:
            while True:
                try:
                    if token:
                        known[node_id] = await joining.join(token)
                    else:
                        await joining.come_back(known[node_id])
                    return
                except UnavailableError as error:
                    log.debug("%s", error)
                    await asyncio.sleep(backoff.next_delay())

    await asyncio.gather(*[enter(node_id, token) for node_id, token in tokens.items()])
    write_whole(path, json.dumps([identity.model_dump() for identity in known.values()]))
    return [known[node_id] for node_id in tokens]


class SimulatedAgent:
    """A link that reports a machine which does not exist."""

    def __init__(self, membership: Membership, state_dir: Path) -> None:
        identity = membership.identity
        self._membership = membership
        self._phase = zlib.crc32(identity.node_id.encode()) % 628 / 100
        self._facts = _facts(identity.node_id)
        engine = DummyEngine(identity.node_id)
        self._telemetry = Telemetry(engine, lambda: 0, self._sample)
        introduction = Introduction(self._tell_facts, NodePolicy(), self._telemetry.vitals)
        self.link = Link(membership.servers, identity, introduction, self._welcomed, "", membership.come_back)
        self._inventory = InventoryReporter(self.link, self._gather)
        seq_file = state_dir / f"{identity.node_id}.seq"
        directives: dict[int, Callable[[], None]] = {
            pb.DIRECTIVE_REPORT_INVENTORY: self._inventory.ask,
            pb.DIRECTIVE_RENEW_CERTIFICATE: membership.ask,
        }
        self._subscription = Subscription(
            self.link, seq_file, directives, Consoles(engine, self.link, NodePolicy()).open
        )

    def work(self) -> list[Coroutine[Any, Any, None]]:
        return [
            Supervised("the node link").endless(self.link.run_forever),
            Supervised("the sampling of this machine").endless(partial(self._telemetry.sample_forever, self.link)),
            self._telemetry.sending.endless(partial(self._telemetry.send_forever, self.link)),
            Supervised("the inventory").endless(self._inventory.run_forever),
            Supervised("the subscription").endless(self._subscription.run_forever),
            Supervised("the renewal of the certificate").endless(partial(self._membership.renew_forever, self.link)),
        ]

    def _welcomed(self, welcome: pb.Welcome) -> None:
        self._telemetry.period = welcome.metrics_ms / 1000
        self._inventory.ask()

    async def _tell_facts(self) -> NodeFacts:
        return self._facts

    async def _gather(self) -> Inventory:
        return Inventory(
            facts=self._facts,
            physical_cores=8,
            gpus=[Gpu(name="Simulated GPU", uuid=f"GPU-{self._facts.hostname}", memory_bytes=24 * 2**30, driver="0.0")],
            disks=[Disk(mount="/", device="/dev/sim0", filesystem="ext4", total_bytes=2 * 10**12)],
            networks=[NetworkInterface(name="eth0", addresses=["192.0.2.10"], speed_mbps=10_000)],
        )

    async def _sample(self) -> dict[str, float | None]:
        wave = 0.5 + 0.5 * math.sin(time.time() / 300 + self._phase)
        memory = 64 * 2**30
        return {
            "cpu_percent": 10 + 70 * wave,
            "load_1": 16 * wave,
            "memory_used_bytes": memory * (0.2 + 0.5 * wave),
            "memory_available_bytes": memory * (0.8 - 0.5 * wave),
            "swap_used_bytes": 0,
            "disk_used_percent": 40,
            "disk_free_bytes": 1.2e12,
            "disk_read_bytes_per_second": 1e6 * wave,
            "disk_write_bytes_per_second": 5e6 * wave,
            "network_receive_bytes_per_second": 2e6 * wave,
            "network_send_bytes_per_second": 2e7 * wave,
            "temperature_celsius": 40 + 30 * wave,
            "gpu_percent": 100 * wave,
            "gpu_memory_used_bytes": 20e9 * wave,
            "gpu_temperature_celsius": 45 + 35 * wave,
        }


def _facts(node_id: str) -> NodeFacts:
    return NodeFacts(
        hostname=node_id,
        os="Simulated Linux",
        kernel="0.0.0",
        architecture="x86_64",
        cpu_model="Simulated CPU",
        cpu_count=16,
        memory_bytes=64 * 2**30,
        disk_bytes=2 * 10**12,
        addresses=["192.0.2.10"],
        docker_version="dummy",
        docker_storage_driver="memory",
        agent_version=__version__,
    )
