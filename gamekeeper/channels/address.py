"""The addresses that messages may go to. A name is looked up once, and what was judged is what is connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from gamekeeper.errors import InvalidError, MessageRefusedError, UnavailableError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_NAT64 = IPv6Network("64:ff9b::/96")
_PUBLIC_IPV6 = IPv6Network("2000::/3")  # all that is given out; what else passes for global is old or for machines
_WITHIN = frozenset({IPv4Address("168.63.129.16")})  # answers a cloud's own machines alone
LOOK_UP_SECONDS = 5.0


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks with commas between them. Raises InvalidError."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InvalidError(f"GAMEKEEPER_CHANNEL_NETWORKS: {error}", hint="as 10.0.0.0/8, fd00::/8") from None


class AddressGuard:
    """Public addresses are allowed, and of all others those in ``allowed``."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def allows(self, address: Address) -> bool:
        if any(address.version == network.version and address in network for network in self._allowed):
            return True
        inner = _inner(address)
        if inner is not None:
            return self.allows(inner)
        if address in _WITHIN or (address.version == 6 and address not in _PUBLIC_IPV6):
            return False
        return address.is_global and not address.is_multicast

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of the host, in the order in which they are to be tried. Every one of them has to be allowed:
        whoever answers with a good and a bad one is up to something. Raises MessageRefusedError, UnavailableError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise UnavailableError(f"the name {host} can't be looked up: {error or 'no answer in time'}") from error
        addresses = [ip_address(str(item[4][0]).partition("%")[0]) for item in found]
        for address in addresses:
            if not self.allows(address):
                raise MessageRefusedError(
                    f"{host} is {address}, which is no public address",
                    hint="the control worker's GAMEKEEPER_CHANNEL_NETWORKS may allow its network",
                )
        if not addresses:
            raise UnavailableError(f"the name {host} has no address")
        return tuple(dict.fromkeys(str(address) for address in addresses))


def _inner(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, 6to4, Teredo and NAT64."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
