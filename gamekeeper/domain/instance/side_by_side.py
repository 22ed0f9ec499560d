"""A revision that comes up beside the one before: what the two can't both have.

Ports with a number of their own, and GPUs, which a server takes whole. Volumes are shared while both run; whoever can't
bear that writes ``strategy: recreate``.
"""

from __future__ import annotations

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.published_port import parse_entry

HINT = 'write "0:{inside}/{protocol}" for a free port, another one with each update, or strategy: recreate'

GPU_HINT = "write strategy: recreate, which stops the old one first"


def clashing_gpus(before: Container, after: Container) -> str:
    """The words for two revisions with GPUs; empty where one of them has none."""
    both = before.device_requests and after.device_requests
    return "the revision that runs has its GPUs until the new one is ready" if both else ""


def clashing_ports(before: Container, after: Container) -> dict[int, tuple[str, str]]:
    """The ports of ``after``, by their place in it, that ``before`` holds: what is wrong with each, and what to do."""
    held = {(entry.protocol, number) for entry in map(parse_entry, before.ports) for number in entry.outside or ()}
    found = {}
    for index, entry in enumerate(map(parse_entry, after.ports)):
        both = [n for n in entry.outside or () if entry.is_fixed and (entry.protocol, n) in held]
        if both:
            message = f"port {both[0]}/{entry.protocol} is held by the revision that runs until the new one is ready"
            found[index] = (message, HINT.format(inside=entry.inside[0], protocol=entry.protocol))
    return found
