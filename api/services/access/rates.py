"""Rates of REST: how often an address may bring a wrong key or token, and how often anybody may write.

A right key passes whatever its address did: others behind one router are no reason to lock somebody out.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Callable

from api.services.bucket import Buckets
from gamekeeper.domain.access.caller import Caller
from gamekeeper.errors import TooOftenError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

WRONG_PER_SECOND, WRONG_BURST = 0.5, 20
WRITES_BURST_SECONDS = 10.0  # of a steady rate may come at once


def network_of(address: str) -> str:
    """Whoever has an IPv6 address has 2**64 of them: they count as one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


class Rates:
    """``refusals`` counts by reason, for ``/metrics``."""

    def __init__(self, writes_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.refusals: Counter[str] = Counter()
        self._wrong = Buckets(WRONG_PER_SECOND, WRONG_BURST, clock)
        burst = max(1.0, writes_per_second * WRITES_BURST_SECONDS)
        self._writes = Buckets(writes_per_second, burst, clock)
        self._writes_per_second = writes_per_second

    def may_sign_in(self, address: str) -> bool:
        """False for one that has to wait."""
        return not self._wrong.of(network_of(address)).wait()

    def check_sign_in(self, address: str) -> None:
        """To be called before a key or a token is looked up. Raises TooOftenError after too many wrong ones."""
        if wait := self._wrong.of(network_of(address)).wait():
            self._count("wrong_key", f"{network_of(address)} brings too many wrong keys or tokens", wait)

    def wrong(self, address: str) -> None:
        """Notes a wrong key or token."""
        network = network_of(address)
        bucket = self._wrong.of(network)
        bucket.try_take()
        if bucket.wait():
            log.warning("%s has brought %d wrong keys or tokens: it has to wait now", network, WRONG_BURST)

    def check_write(self, caller: Caller, address: str) -> None:
        """One request that writes, of a caller and of an address. Raises TooOftenError."""
        network = network_of(address)
        for who, words in ((f"{caller.kind}:{caller.id}", caller.actor), (f"address:{network}", f"address:{network}")):
            if wait := self._writes.of(who).try_take():
                self._count("writes", f"{words} writes more than {self._writes_per_second:g} times a second", wait)

    def _count(self, reason: str, message: str, wait: float) -> None:
        self.refusals[reason] += 1
        raise TooOftenError(message, after_seconds=wait)
