"""The networks of instances: one for each group, in which the names of its containers are found, and one for all
others, in which they don't reach each other.

Docker's own address pools end at about thirty networks, so subnets are named here, small enough for hundreds of groups:
the first that no route of this machine and no network of Docker's meets.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker.api.client import APIClient
from docker.errors import APIError

from agent_worker.docker_engine.connection import EngineConnection
from agent_worker.docker_engine.errors import explain, fault
from agent_worker.docker_engine.named_networks import ensure_one
from agent_worker.docker_engine.owner_labels import LABEL
from gamekeeper.errors import GamekeeperError
from gamekeeper.ports.container_engine import NODE_NETWORK, group_network

Subnet = ipaddress.IPv4Network
POOLS = tuple(ipaddress.IPv4Network(text) for text in ("10.213.0.0/16", "10.214.0.0/16", "172.31.0.0/16"))
NODE_PREFIX, GROUP_PREFIX = 20, 26
NO_GROUP = ""
ROUTES = Path("/proc/net/route")
_ISOLATED = {"com.docker.network.bridge.enable_icc": "false"}


class GroupNetworks:
    """Makes each once, and remembers that it did."""

    def __init__(self, node: str, connection: EngineConnection, routes: Path = ROUTES) -> None:
        self._node = node
        self._connection = connection
        self._call = connection.call
        self._routes = routes
        self._made: set[str] = set()
        self._changing = asyncio.Lock()
        self._making = threading.Lock()  # containers that join again do so in threads, many at a time after a restart

    @property
    def _api(self) -> APIClient:
        return self._connection.api

    def forget(self) -> None:
        """Looks at all of them again at their next use."""
        self._made.clear()

    async def ensure(self, group: str) -> None:
        async with self._changing:
            if group not in self._made:
                await self._call(self._make, group)
                self._made.add(group)

    async def ensure_node_network(self) -> str:
        await self.ensure(NO_GROUP)
        return NODE_NETWORK

    def _make(self, group: str) -> None:
        name, _ = _name_and_prefix(group)
        with self._making:
            ensure_one(self._api, name, lambda: self._make_new(group))

    def _make_new(self, group: str) -> None:
        name, prefix = _name_and_prefix(group)
        labels = {f"{LABEL}node": self._node, f"{LABEL}group": group}
        taken = [*self._docker_subnets(), *route_subnets(self._routes)]
        for subnet in free_subnets(taken, prefix):
            ipam: Any = {"Driver": "default", "Config": [{"Subnet": str(subnet)}]}
            options = {} if group else _ISOLATED
            try:
                self._api.create_network(
                    name, driver="bridge", labels=labels, options=options, ipam=ipam, check_duplicate=True
                )
                return
            except APIError as error:
                if error.status_code == 409:
                    return
                if "overlaps" not in explain(error):
                    raise
        raise fault(f"no subnet is left for network {name} in {', '.join(map(str, POOLS))}")

    def _docker_subnets(self) -> Iterator[Subnet]:
        for network in self._api.networks():
            for config in (network.get("IPAM") or {}).get("Config") or []:
                with suppress(ValueError):
                    yield ipaddress.IPv4Network(config.get("Subnet", ""), strict=False)

    def rejoin(self, container_id: str) -> bool:
        """Joins an ended container again to networks that somebody removed meanwhile; False when there are none."""
        networks = self._api.inspect_container(container_id)["NetworkSettings"]["Networks"]
        ours = {name: settings for name, settings in networks.items() if _group_of(name) is not None}
        for name, settings in ours.items():
            self._make(_group_of(name) or NO_GROUP)
            aliases = [alias for alias in settings.get("Aliases") or [] if alias != container_id[:12]]
            self._api.connect_container_to_network(container_id, name, aliases=aliases)
        return bool(ours)

    async def remove_unused(self) -> Sequence[str]:
        """Removes those that no container has; the groups that are left. A stopped container could never start again
        without its network."""
        left: list[str] = []
        async with self._changing:
            filters = {"label": [f"{LABEL}node={self._node}", f"{LABEL}group"]}
            for network in await self._call(self._api.networks, filters=filters):
                # A container that never ran has the network by its name alone.
                either = {"network": [network["Id"], network["Name"]]}
                users = await self._call(self._api.containers, all=True, filters=either)
                group = network["Labels"][f"{LABEL}group"]
                if users or not await self._is_removed(network["Id"], group):
                    left.append(group)
        return sorted(group for group in left if group != NO_GROUP)

    async def _is_removed(self, network_id: str, group: str) -> bool:
        self._made.discard(group)
        try:
            await self._call(self._api.remove_network, network_id)
        except GamekeeperError:
            return False  # a container came to it, or it went: the next round sees to it
        return True


def _name_and_prefix(group: str) -> tuple[str, int]:
    return (group_network(group), GROUP_PREFIX) if group else (NODE_NETWORK, NODE_PREFIX)


def _group_of(network: str) -> str | None:
    """The group of a network of ours; empty for that of all others, None for a foreign one."""
    if network == NODE_NETWORK:
        return NO_GROUP
    prefix = group_network("")
    return network.removeprefix(prefix) if network.startswith(prefix) else None


def free_subnets(taken: Sequence[Subnet], prefix: int) -> Iterator[Subnet]:
    for pool in POOLS:
        for subnet in pool.subnets(new_prefix=prefix):
            if not any(subnet.overlaps(other) for other in taken):
                yield subnet


def route_subnets(routes: Path) -> list[Subnet]:
    """The destinations of this machine's routes, the default route aside."""
    found = []
    with suppress(OSError):
        for line in routes.read_text().splitlines()[1:]:
            fields = line.split()
            destination, mask = (int.from_bytes(bytes.fromhex(fields[index]), "little") for index in (1, 7))
            if mask:
                found.append(ipaddress.IPv4Network((destination, bin(mask).count("1")), strict=False))
    return found
