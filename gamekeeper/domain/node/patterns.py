"""Patterns of a policy: images by their full names, devices by path, ports by number.

A ``*`` never crosses a "/", so that a pattern gives what its owner sees in it. All of it is told by nodes, so nothing
here may take long on any text.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

# Of the stack itself, and of an engine by TCP. A range that holds them does not name them.
OWN_PORTS = frozenset({2375, 2376, 7233, 7380, 7381, 7382, 8233})
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")
ANY = "*"


def matches(text: str, patterns: Iterable[str]) -> bool:
    """Name by name. The last one may be ``**``, which is all below."""
    parts = text.split("/")
    for pattern in patterns:
        wanted = pattern.split("/")
        if wanted[-1] == "**" and len(parts) >= len(wanted):
            wanted, found = wanted[:-1], parts[: len(wanted) - 1]
        else:
            found = parts
        if len(wanted) == len(found) and all(map(fnmatch.fnmatchcase, found, wanted)):
            return True
    return False


def device_matches(path: str, patterns: Iterable[str]) -> bool:
    """A pattern that names the folder of a device means its files."""
    known = list(patterns)
    return matches(path, known) or matches(path.rpartition("/")[0] or "/", known)


def image_matches(image: str, patterns: Iterable[str]) -> bool:
    """A pattern without a tag or digest means all of them."""
    name = full_name(image)
    bare = name.partition("@")[0] if "@" in name else name.rpartition(":")[0]
    for pattern in patterns:
        wanted = _with_registry(pattern)
        last = wanted.rpartition("/")[2]
        if pattern == ANY or matches(name if ":" in last or "@" in last else bare, [wanted]):
            return True
    return False


def full_name(image: str) -> str:
    """``docker.io/library/debian:latest`` of ``debian``. Beside a digest a tag means nothing, and is left out."""
    name = _with_registry(image)
    head, slash, last = name.rpartition("/")
    if "@" in last:
        bare, _, digest = last.partition("@")
        return f"{head}{slash}{bare.partition(':')[0]}@{digest}"
    return name if ":" in last else f"{name}:latest"


def _with_registry(image: str) -> str:
    first, slash, rest = image.partition("/")
    if first == "index.docker.io" and slash:
        return f"docker.io/{rest}"
    if slash and (first == "localhost" or any(mark in first for mark in ".:*")):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def parse_ports(text: str) -> tuple[range, str]:
    """The ports of ``80``, ``8000-8100`` or ``53/udp``; without a protocol all of them. Raises ValueError."""
    match = _PORTS.fullmatch(text.strip())
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if match is None or not 1 <= first <= last <= 65535:
        raise ValueError(f'"{text}" are no ports; write 25565, 8000-8100 or 53/udp')
    return range(first, last + 1), match[3] or ""


def port_allowed(port: int, protocol: str, allowed: Iterable[str]) -> bool:
    """A port of the machine's own stack has to be named alone."""
    for text in allowed:
        ports, only = parse_ports(text)
        if port in ports and only in ("", protocol) and (port not in OWN_PORTS or len(ports) == 1):
            return True
    return False
