"""Keys of published ports: what an instance wishes for and is given, and what expressions read of a service.

A port has a key: its name, or else its number in the container. By it an instance keeps its numbers from revision to
revision, and learns them from its environment. Entries that share a key and differ in their protocol get one number.
The later steps of a run read the number of a service by the same key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.published_port import PortEntry, parse_entry

VARIABLE = "GAMEKEEPER_PORT_"
_NAME_MARK = re.compile(r"^[A-Za-z0-9_-]+=(?=[\d\[])")
_SAME_NUMBER = re.compile(r"\d=(/\w+)?$")
_TEMPLATE = re.compile(r"\$\{\{.*?\}\}")
_SEEN = re.compile(r"(.*):(\d+)->(\d+)/(\w+)")  # as an engine tells it: 0.0.0.0:8303->8303/udp


@dataclass(frozen=True)
class PortWish:
    """``count`` numbers in a row, each for all ``protocols``. ``within`` bounds them: a range of that very length is a
    fixed one, and None the node's own."""

    key: str
    protocols: tuple[str, ...] = ("tcp",)
    count: int = 1
    within: tuple[int, int] | None = None

    @property
    def number(self) -> int | None:
        """The first number of a fixed wish."""
        if self.within is None or self.within[1] - self.within[0] + 1 != self.count:
            return None
        return self.within[0]


def wishes_of(container: Container) -> list[PortWish]:
    """The wishes of the container's ports, whose templates are filled in, in their order."""
    found: dict[str, PortWish] = {}
    for key, entry in _keyed(container.ports):
        known = found.get(key)
        if known is None:
            bounds = (entry.outside[0], entry.outside[-1]) if entry.outside is not None else None
            found[key] = PortWish(key, (entry.protocol,), len(entry.inside), bounds)
        else:
            found[key] = replace(known, protocols=(*known.protocols, entry.protocol))
    return list(found.values())


def with_given_ports(container: Container, given: Mapping[str, int]) -> Container:
    """The container as an agent runs it: every port with its number, by the keys of ``wishes_of``, which stay the same,
    and each number in the environment, where the container has none of its own there."""
    if not container.ports:
        return container
    keyed = list(_keyed(container.ports))
    told: dict[str, str | None] = {variable_of(key): str(given[key]) for key, _ in keyed}
    ports = [_given(key, entry, given[key]) for key, entry in keyed]
    return container.model_copy(update={"ports": ports, "environment": told | container.environment})


def given_numbers(container: Container) -> dict[str, int]:
    """The number of each port of an instance's container, of a range the first, by its key."""
    return {wish.key: wish.number for wish in wishes_of(container) if wish.number is not None}


def seen_numbers(container: Container, published: Sequence[str]) -> dict[str, int]:
    """The number of each port of a service, by its key, as the engine tells what it has ``published``.

    Two protocols of one key may have got different numbers: the first one's is told.
    """
    seen = [found.groups() for found in map(_SEEN.fullmatch, published) if found]
    numbers: dict[str, int] = {}
    for key, entry in _keyed(container.ports):
        for address, number, inside, protocol in seen:
            is_it = (int(inside), protocol) == (entry.inside[0], entry.protocol)
            is_there = entry.outside is None or int(number) in entry.outside
            if is_it and is_there and entry.host_ip.strip("[]") in ("", address.strip("[]")):
                if int(number) not in numbers.values() or key in numbers:
                    numbers.setdefault(key, int(number))
    return numbers


def keys_of(ports: Sequence[str]) -> frozenset[str] | None:
    """The keys of ports as they are written. None where a template says what they are."""
    try:
        one, other = ([key for key, _ in _keyed([_TEMPLATE.sub(text, port) for port in ports])] for text in ("1", "2"))
    except ValueError:
        return None
    return frozenset(one) if one == other else None


def as_asked(container: Container, asked: Sequence[str]) -> Container:
    """The container before it was given its ports: ``asked`` are those, and what their numbers told it is gone."""
    if not asked:
        return container
    return container.model_copy(update={"ports": list(asked), "environment": untold(container.environment, container)})


def untold(environment: Mapping[str, str | None], given: Container) -> dict[str, str | None]:
    """The environment without what ``given``, a container with its ports, was told of them."""
    told = {variable_of(key): str(number) for key, number in given_numbers(given).items()}
    return {name: text for name, text in environment.items() if told.get(name) != text}


def without_marks(container: Container) -> Container:
    """The container of what is no instance, for its node: the names of its ports are the run's, and Docker gives the
    numbers."""
    ports = [_NAME_MARK.sub("", text) for text in container.ports]
    return container if ports == container.ports else container.model_copy(update={"ports": ports})


def asks_same_number(port: str) -> bool:
    return _SAME_NUMBER.search(port) is not None


def variable_of(key: str) -> str:
    return VARIABLE + key.replace("-", "_").upper()


def _keyed(ports: Sequence[str]) -> Iterator[tuple[str, PortEntry]]:
    """Each entry with its key. One that fits the others of its key no better gets a key of its own."""
    taken: dict[str, list[PortEntry]] = {}
    for text in ports:
        entry = parse_entry(text)
        key = first = entry.name or str(entry.inside[0])
        number = 1
        while not all(_share(entry, other) for other in taken.get(key, [])):
            number += 1
            key = f"{first}-{number}"
        taken.setdefault(key, []).append(entry)
        yield key, entry


def _given(key: str, entry: PortEntry, first: int) -> str:
    text = entry.at(first)
    is_told = not entry.name and key == str(parse_entry(text).inside[0])
    return text if is_told else f"{key}={text}"


def _share(one: PortEntry, other: PortEntry) -> bool:
    is_alike = (one.outside, len(one.inside)) == (other.outside, len(other.inside))
    return is_alike and one.protocol != other.protocol
