"""The address that a stack serves on, and the one at which this machine reaches it.

``--host`` takes an address, the name of a network interface, or a name that resolves. The record keeps what the user
gave: an interface's address may be another one at the next start.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

import psutil

from gamekeeper.errors import InvalidError


def bind_address(host: str) -> str:
    """The address to listen on for ``host``. Raises InvalidError where this machine has no such address."""
    interfaces = psutil.net_if_addrs()
    if host in interfaces:
        found = [item.address for item in interfaces[host] if item.family is socket.AF_INET]
        if not found:
            raise InvalidError(f"the interface {host} has no IPv4 address", hint="give an address as --host")
        return found[0]
    try:
        address = str(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        names = ", ".join(sorted(interfaces))
        raise InvalidError(
            f'"{host}" is no address of this machine', hint=f"give an address or an interface ({names}) as --host"
        ) from error
    _check_is_ours(host, address)
    return address


def _check_is_ours(host: str, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise InvalidError(
                f"{host} is not an address of this machine",
                hint="behind NAT or a cloud's public address, give --host 0.0.0.0",
            ) from error


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def outward_address() -> str:
    """This machine's address on its way to others; empty where it has none. No packet is sent to find it."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # of a net for documentation: any address beyond the own nets will do
        return str(probe.getsockname()[0])
    return ""
