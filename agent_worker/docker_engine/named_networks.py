"""One network of a name, though Docker gives a name to many.

It looks for the name before it makes a network, and takes a while for it. So callers at the same time, of one agent or
of several on one engine, get one each, and from then on it starts no container in any of them: the name is ambiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docker.api.client import APIClient
from docker.errors import APIError, NotFound

TRIES = 10  # another caller may take away the last one, as one of several


def ensure_one(api: APIClient, name: str, make: Callable[[], None]) -> None:
    """Returns when the engine has one network of the name. ``make`` may do nothing where the engine has one."""
    for _ in range(TRIES):
        networks = named(api, name)
        if len(networks) == 1:
            return
        if networks and not _is_thinned_out(api, networks):
            return  # the start of a container tells it
        if not networks:
            make()


def named(api: APIClient, name: str) -> list[dict[str, Any]]:
    """Those that are there, the oldest first: so that whoever thins them out keeps the same one."""
    networks: list[dict[str, Any]] = api.networks(names=[f"^{name}$"])
    return sorted(networks, key=lambda network: (network.get("Created") or "", network["Id"]))


def _is_thinned_out(api: APIClient, networks: list[dict[str, Any]]) -> bool:
    """Removes the newest first, but for those that the engine does not let go, because containers run in them; True
    when no more than one is left."""
    left = len(networks)
    for network in reversed(networks):
        if left > 1 and _is_removed(api, network["Id"]):
            left -= 1
    return left <= 1


def _is_removed(api: APIClient, network_id: str) -> bool:
    try:
        api.remove_network(network_id)
    except NotFound:
        return True
    except APIError:
        return False
    return True
