"""Chooses ports: the usual ones where they are free, else free ones, and then the same ones until the user says so."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress

import psutil

from gamekeeper.errors import ConflictError
from gamekeeper.stack.layout import Ports
from gamekeeper.stack.own_server import LOOPBACK

USUAL = Ports(rest=7380, grpc=7381, gateway=7382, temporal=7233, temporal_ui=8233)
TITLES = {
    "rest": "REST",
    "grpc": "the node link",
    "gateway": "the Temporal gateway",
    "temporal": "Temporal",
    "temporal_ui": "Temporal's web UI",
}


def is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str) -> int:
    """A free port that the kernel gives to nobody else for a minute, so that a process may yet listen on it.

    A connection to it was just closed. Its rest (TIME_WAIT) keeps the port from those who ask for any free one, and not
    from a server, which binds it by number. A port that was only looked at is soon another process's: Temporal's
    development server asks for several of its own at each start.
    """
    with socket.create_server((host, 0)) as listener:
        port = int(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1" if host == "0.0.0.0" else host, port)):
            accepted, _ = listener.accept()
            accepted.close()  # the side that closes first keeps the rest
    return port


def choose_ports(host: str, kept: Ports | None, ours: set[str], unused: frozenset[str] = frozenset()) -> Ports:
    """Keeps ``kept``, the ports of an earlier start, or chooses them for the first time.

    Those in ``ours`` are held by our own living processes, and nothing listens on those in ``unused`` this time. Raises
    ConflictError that names the holder of a kept port: agents and scripts remember it, so it never moves by itself.
    """
    if kept is None:
        return free_ports(host, USUAL)
    if not kept.gateway:
        kept = kept.model_copy(update={"gateway": free_ports(host, USUAL).gateway})
    for name, port in kept.model_dump().items():
        address = _address(host, name)
        if not (name in ours | unused or is_free(address, port)):
            raise ConflictError(
                f"port {port} on {address} ({TITLES[name]}) is taken by {holder_of(address, port)}",
                hint="end that process; or have another port chosen: gamekeeper up --new-ports",
            )
    return kept


def free_ports(host: str, wanted: Ports) -> Ports:
    """``wanted``, with a free one instead of each that is taken."""
    chosen = {
        name: port if is_free(_address(host, name), port) else free_port(_address(host, name))
        for name, port in wanted.model_dump().items()
    }
    return Ports(**chosen)


def _address(host: str, name: str) -> str:
    return LOOPBACK if name.startswith("temporal") else host


def holder_of(address: str, port: int) -> str:
    """The process that keeps others from listening on this address and port, in words."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        local = connection.laddr
        is_in_the_way = local and local.port == port and _overlap(local.ip, address)
        if is_in_the_way and connection.status == psutil.CONN_LISTEN and connection.pid:
            with suppress(psutil.Error):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another process"


def _overlap(one: str, other: str) -> bool:
    """True where two sockets can't listen on these addresses with the same port. gRPC's are IPv6 for IPv4, too."""
    addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in (one, other)]
    found = [getattr(address, "ipv4_mapped", None) or address for address in addresses]
    return found[0] == found[1] or any(address.is_unspecified for address in found)
