"""Finds who holds a port that an instance publishes, before its start: the engine's own words name nobody.

It reads what the kernel tells of this network namespace. An agent that does not share the machine's sees nothing there,
and the engine's words are left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gamekeeper.domain.language.published_port import parse_ports

_LISTENS = {"tcp": "0A", "udp": "07"}


@dataclass(frozen=True)
class _Socket:
    address: bytes
    port: int
    inode: str

    @property
    def is_of_all(self) -> bool:
        return not any(self.address)


def holder(published: Sequence[str], proc: Path) -> str:
    """A sentence on the first port that is taken; empty when all are free."""
    wanted = [(port.protocol, port.host, port.host_ip) for text in published for port in parse_ports(text)]
    for protocol, host, host_ip in wanted:
        if not host.isdigit() or host == "0" or protocol not in _LISTENS:
            continue
        for found in _sockets(protocol, proc):
            if found.port == int(host) and _meet(found, host_ip):
                return f"port {host}/{protocol} is held by {_process(found.inode, proc)}"
    return ""


def _meet(found: _Socket, host_ip: str) -> bool:
    """True when both would have the port of one address. Docker's own word for all addresses is none, or 0.0.0.0."""
    if found.is_of_all or host_ip in ("", "0.0.0.0", "[::]", "::"):
        return True
    octets = host_ip.split(".")
    return len(octets) == 4 and found.address[-4:] == bytes(int(octet) for octet in octets)


def _sockets(protocol: str, proc: Path) -> Iterator[_Socket]:
    for name in (protocol, f"{protocol}6"):
        with suppress(OSError, ValueError, IndexError):
            for line in (proc / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[1].partition(":")
                if fields[3] == _LISTENS[protocol]:
                    yield _Socket(_network_order(address), int(port, 16), fields[9])


def _network_order(text: str) -> bytes:
    """The kernel writes each four bytes in the machine's own order."""
    data = bytes.fromhex(text)
    return b"".join(data[index : index + 4][::-1] for index in range(0, len(data), 4))


def _process(inode: str, proc: Path) -> str:
    wanted = f"socket:[{inode}]"
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError):
            for entry in (folder / "fd").iterdir():
                if os.readlink(entry) == wanted:
                    return f"process {folder.name} ({(folder / 'comm').read_text().strip()})"
    return "a process that this agent does not see"
