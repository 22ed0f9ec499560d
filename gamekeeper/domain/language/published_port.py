"""Published ports in Compose's short spelling: ``[IP:][HOST:]CONTAINER[/PROTOCOL]``, ``0:80`` for a free one."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PORT = re.compile(r"(?:(?:(\[[0-9a-fA-F:]+\]|\d+\.\d+\.\d+\.\d+):)?(\d*):)?(\d+)(?:/(tcp|udp|sctp))?")


@dataclass(frozen=True)
class PublishedPort:
    """``host_port`` is None where Docker picks a free one."""

    container_port: int
    protocol: str
    host_port: int | None
    host_ip: str


def parse_port(text: str) -> PublishedPort:
    """Raises ValueError that names the text and the right spelling."""
    match = _PORT.fullmatch(text)
    if not match:
        raise ValueError(f'"{text}" is not a port; write HOST:CONTAINER or HOST:CONTAINER/udp')
    host_ip, host, container, protocol = match.groups()
    for number in (host, container):
        if number and int(number) > 65535:
            raise ValueError(f'"{text}": port {number} is above 65535')
    if int(container) == 0:
        raise ValueError(f'"{text}": a container port is 1 to 65535')
    return PublishedPort(int(container), protocol or "tcp", int(host) if host and int(host) else None, host_ip or "")
