"""Published ports in Compose's spellings: ``[IP:][HOST:]CONTAINER[/PROTOCOL]`` of ports or ranges, and the long form.

The long form becomes the short one, so that one spelling is left. ``0:80`` picks a free port, as does ``80``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.values import Text, as_text, has_template, not_filled_in, wrong

_PORT = re.compile(
    r"(?:(?:(\[[0-9a-fA-F:.]+\]|\d+\.\d+\.\d+\.\d+):)?(\d+(?:-\d+)?)?:)?(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?"
)
MAX_PORTS = 1000


@dataclass(frozen=True)
class PublishedPort:
    """``host`` is a port, a range of which Docker picks a free one, or empty for any free one."""

    container_port: int
    protocol: str
    host: str
    host_ip: str


class Port(Model):
    """The long form. ``name`` and ``app_protocol`` are for people, ``mode`` is for swarms, as in Compose."""

    target: Text
    published: Text | None = None
    host_ip: Text | None = None
    protocol: Text = "tcp"
    name: Text | None = None
    app_protocol: Text | None = None
    mode: Literal["host", "ingress"] | None = None

    def short(self) -> str:
        address = self.host_ip or ""
        if ":" in address and not address.startswith("[") and not has_template(address):
            address = f"[{address}]"
        host = f"{address}:" if address else ""
        host += f"{self.published or ''}:" if host or self.published else ""
        return f"{host}{self.target}/{self.protocol}"


def read_port(value: Any) -> str:
    """The short form of an entry of ``ports``, checked where it holds no template."""
    text = Port.model_validate(value).short() if isinstance(value, dict) else as_text(value)
    if not has_template(text):
        try:
            parse_ports(text)
        except ValueError as error:
            raise wrong("port", str(error)) from None
    return text


def read_exposed(value: Any) -> str:
    """An entry of ``expose``: a port or a range in the container."""
    text = as_text(value)
    if ":" in text and not has_template(text):
        raise wrong("port", f'"{text}" is published by ports; write the port in the container here')
    return read_port(text)


def parse_ports(text: str) -> list[PublishedPort]:
    """One port, or each of a range. Raises ValueError that names the text and the right spelling."""
    match = _PORT.fullmatch(text)
    if not match:
        why = not_filled_in(text) or "write HOST:CONTAINER or HOST:CONTAINER/udp"
        raise ValueError(f'"{text}" is not a port; {why}')
    host_ip, host, first, last, protocol = match.groups()
    inside = _range(text, first, last or first)
    if inside[0] == 0:
        raise ValueError(f'"{text}": a container port is 1 to 65535')
    outside = _range(text, *host.partition("-")[::2]) if host else range(1)
    if len(inside) > 1 and host and len(inside) != len(outside):
        message = f'"{text}": {len(outside)} host ports can\'t be {len(inside)} container ports'
        raise ValueError(f"{message}; write two ranges of one length")
    if len(inside) == 1:
        return [PublishedPort(int(first), protocol or "tcp", "" if host in (None, "0") else host, host_ip or "")]
    hosts = map(str, outside) if host else [""] * len(inside)
    return [PublishedPort(port, protocol or "tcp", at, host_ip or "") for port, at in zip(inside, hosts, strict=True)]


def _range(text: str, first: str, last: str) -> range:
    begin, end = int(first), int(last or first)
    for number in (begin, end):
        if number > 65535:
            raise ValueError(f'"{text}": port {number} is above 65535')
    if end < begin:
        raise ValueError(f'"{text}": the range {begin}-{end} ends before it begins')
    if end - begin >= MAX_PORTS:
        raise ValueError(f'"{text}" has {end - begin + 1} ports; the limit is {MAX_PORTS}')
    return range(begin, end + 1)
