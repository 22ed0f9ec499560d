"""Published ports in Compose's spellings: ``[IP:][HOST:]CONTAINER[/PROTOCOL]`` of ports or ranges, and the long form.

The long form becomes the short one, so that one spelling is left. ``0:80`` picks a free port, as does ``80``. Two marks
of it are our own: ``NAME=`` before all else, and ``=`` behind the container's ports, which are then the host's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from gamekeeper.domain.language.model import Model
from gamekeeper.domain.language.values import Flag, Text, as_text, has_template, not_filled_in, wrong

_PORT = re.compile(
    r"(?:([A-Za-z0-9_-]{1,63})=)?"
    r"(?:(?:(\[[0-9a-fA-F:.]+\]|\d+\.\d+\.\d+\.\d+):)?(\d+(?:-\d+)?)?:)?"
    r"(\d+)(?:-(\d+))?(=)?(?:/(tcp|udp|sctp))?"
)
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
MAX_PORTS = 1000


@dataclass(frozen=True)
class PublishedPort:
    """``host`` is a port, a range of which Docker picks a free one, or empty for any free one."""

    container_port: int
    protocol: str
    host: str
    host_ip: str


@dataclass(frozen=True)
class PortEntry:
    """An entry of ``ports``, taken apart. ``outside`` is None for any free port of the node, and may be longer than
    ``inside`` where that is one port: then a free one of it is meant."""

    name: str
    host_ip: str
    outside: range | None
    inside: range
    same_number: bool
    protocol: str

    @property
    def is_fixed(self) -> bool:
        return self.outside is not None and len(self.outside) == len(self.inside)

    def at(self, first: int) -> str:
        """The short form with these ports of the node, as every agent reads it."""
        outside = range(first, first + len(self.inside))
        inside = outside if self.same_number else self.inside
        address = f"{self.host_ip}:" if self.host_ip else ""
        return f"{address}{_spelled(outside)}:{_spelled(inside)}/{self.protocol}"


class Port(Model):
    """The long form. ``app_protocol`` is for people, ``mode`` is for swarms, as in Compose. ``same_number`` makes the
    port in the container that of the node, whichever it is given; ``target`` then says how many."""

    target: Text
    published: Text | None = None
    host_ip: Text | None = None
    protocol: Text = "tcp"
    name: Text | None = None
    app_protocol: Text | None = None
    mode: Literal["host", "ingress"] | None = None
    same_number: Flag | None = Field(default=None, exclude_if=lambda value: value is None)

    @field_validator("same_number")
    @classmethod
    def _written_out(cls, value: bool | str | None) -> bool | str | None:
        if isinstance(value, str):
            raise wrong("type", "same_number is written out: true or false")
        return value

    def short(self) -> str:
        address = self.host_ip or ""
        if ":" in address and not address.startswith("[") and not has_template(address):
            address = f"[{address}]"
        host = f"{address}:" if address else ""
        host += f"{self.published or ''}:" if host or self.published else ""
        return f"{self._mark()}{host}{self.target}{'=' if self.same_number else ''}/{self.protocol}"

    def _mark(self) -> str:
        name = self.name or ""
        name = name if has_template(name) else _NO_NAME.sub("-", name)[:63]
        return f"{name}=" if name else ""


def read_port(value: Any) -> str:
    """The short form of an entry of ``ports``, checked where it holds no template."""
    text = Port.model_validate(value).short() if isinstance(value, dict) else as_text(value)
    if not has_template(text):
        try:
            parse_entry(text)
        except ValueError as error:
            raise wrong("port", str(error)) from None
    return text


def read_exposed(value: Any) -> str:
    """An entry of ``expose``: a port or a range in the container."""
    text = as_text(value)
    if (":" in text or "=" in text) and not has_template(text):
        raise wrong("port", f'"{text}" is published by ports; write the port in the container here')
    return read_port(text)


def parse_entry(text: str) -> PortEntry:
    """Raises ValueError that names the text and the right spelling."""
    match = _PORT.fullmatch(text)
    if not match:
        why = not_filled_in(text) or "write HOST:CONTAINER or HOST:CONTAINER/udp"
        raise ValueError(f'"{text}" is not a port; {why}')
    name, host_ip, host, first, last, same, protocol = match.groups()
    inside = _range(text, first, last or first)
    if inside[0] == 0:
        raise ValueError(f'"{text}": a container port is 1 to 65535')
    outside = _range(text, *host.partition("-")[::2]) if host and host != "0" else None
    if outside is not None and len(outside) != len(inside) and (len(inside) > 1 or same):
        message = f'"{text}": {len(outside)} host ports can\'t be {len(inside)} container ports'
        raise ValueError(f"{message}; write two ranges of one length")
    return PortEntry(name or "", host_ip or "", outside, inside, same is not None, protocol or "tcp")


def parse_ports(text: str) -> list[PublishedPort]:
    """One port, or each of a range, for Docker to publish. Raises ValueError as ``parse_entry`` does."""
    entry = parse_entry(text)
    protocol, address = entry.protocol, entry.host_ip
    if len(entry.inside) == 1:
        host = "" if entry.outside is None else _spelled(entry.outside)
        return [PublishedPort(entry.inside[0], protocol, host, address)]
    hosts = [""] * len(entry.inside) if entry.outside is None else map(str, entry.outside)
    return [PublishedPort(port, protocol, at, address) for port, at in zip(entry.inside, hosts, strict=True)]


def _spelled(ports: range) -> str:
    return str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"


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
