"""Gathers the parts of the machine, and reports them: when a session begins, when asked, and when they changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import psutil

from agent_worker.machine.facts import gather_facts
from agent_worker.machine.gpu import Gpus
from agent_worker.node_link.session import Link
from gamekeeper.backoff import jittered
from gamekeeper.domain.node.inventory import Disk, Inventory, NetworkInterface
from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import ContainerEngine
from gamekeeper.rpc.convert import inventory_to_pb

log = get_logger(__name__)

PERIOD_SECONDS = 60.0
RETRY_SECONDS = 5.0
_VIRTUAL = ("lo", "veth", "br-", "docker")


async def gather_inventory(engine: ContainerEngine, state_dir: Path, gpus: Gpus) -> Inventory:
    """Gathers the inventory. Without the engine its versions are empty."""
    facts = await gather_facts(engine, state_dir)
    versions: dict[str, str] = {}
    with suppress(GamekeeperError):
        versions = await engine.version()
    return Inventory(
        facts=facts.model_copy(update={"agent_version": ""}),
        physical_cores=psutil.cpu_count(logical=False) or 0,
        swap_bytes=psutil.swap_memory().total,
        gpus=gpus.inventory(),
        disks=_disks(),
        networks=_networks(),
        containerd_version=versions.get("containerd", ""),
        runc_version=versions.get("runc", ""),
        problem=gpus.problem,
    )


def _disks() -> list[Disk]:
    found: dict[str, Disk] = {}
    for part in psutil.disk_partitions(all=False):
        with suppress(OSError):
            total = psutil.disk_usage(part.mountpoint).total
            # One device is mounted in many places, by Docker above all; the first one names it.
            found.setdefault(
                part.device, Disk(mount=part.mountpoint, device=part.device, filesystem=part.fstype, total_bytes=total)
            )
    return sorted(found.values(), key=lambda disk: disk.mount)[:100]


def _networks() -> list[NetworkInterface]:
    stats = psutil.net_if_stats()
    return [
        NetworkInterface(
            name=name,
            addresses=sorted(item.address for item in addresses)[:32],
            speed_mbps=max(0, stats[name].speed) if name in stats else 0,
        )
        for name, addresses in sorted(psutil.net_if_addrs().items())
        if not name.startswith(_VIRTUAL)
    ][:100]


class InventoryReporter:
    """``ask`` makes it report soon. ``policy`` is reported along, as JSON."""

    def __init__(
        self, link: Link, gather: Callable[[], Awaitable[Inventory]], policy: Callable[[], str] = lambda: ""
    ) -> None:
        self._link = link
        self._gather = gather
        self._policy = policy
        self._asked = asyncio.Event()
        self._told: Inventory | None = None
        self._told_policy = ""

    async def look_at_policy(self) -> None:
        """Reports a policy file that was changed."""
        if self._told is not None and self._policy() != self._told_policy:
            self.ask()

    def ask(self) -> None:
        self._told = None
        self._asked.set()

    async def run_forever(self) -> None:
        while True:
            await self._link.connected.wait()
            await self._link.stagger()
            self._asked.clear()
            delay = PERIOD_SECONDS
            try:
                await self._report()
            except GamekeeperError as error:
                log.debug("the inventory waits: %s", error)
                delay = RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(jittered(delay)):
                    await self._asked.wait()

    async def _report(self) -> None:
        inventory, policy = await self._gather(), self._policy()
        if inventory != self._told or policy != self._told_policy:
            await self._link.calls.report_inventory(inventory_to_pb(inventory, policy))
            self._told, self._told_policy = inventory, policy
