"""The GPUs of a node that a holder is given, by their ids, so that no two holders get the same one.

An id is NVIDIA's UUID, or the file of a render node in /dev/dri for all others. A node whose inventory names fewer GPUs
than its operator counts gives no ids: then the engine picks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.device import CDI, DeviceReservation
from gamekeeper.domain.node.capacity import NVIDIA, Capacity


@dataclass(frozen=True)
class GivenGpus:
    """``count`` GPUs of a vendor. ``ids`` are empty where they are not known, ``known`` are all of the vendor there."""

    vendor: str = ""
    count: int = 0
    ids: Sequence[str] = ()
    known: Sequence[str] = ()


def vendors_of(capacity: Capacity) -> list[str]:
    """In the order in which they are given to whoever names none: a request of Docker's is for NVIDIA's first."""
    return sorted(capacity.gpus, key=lambda vendor: (vendor != NVIDIA, vendor))


def choose_gpus(
    asked: Sequence[str], count: int, known: Sequence[str], taken: Collection[str], own: Collection[str] = ()
) -> list[str]:
    """``count`` of the ``known`` GPUs of one vendor: those that are ``asked`` for, or else its ``own`` first.

    Empty where they can't be told apart. Of those that are asked for some may be taken.
    """
    named = named_gpus(asked, known)
    if asked or not count:
        return named
    free = [each for each in known if each not in taken]
    chosen = sorted(free, key=lambda each: each not in own)[:count]
    return [each for each in known if each in chosen] if len(chosen) == count else []


def named_gpus(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """The ids of GPUs that a user names by number or by the beginning of the UUID; empty where one is not known."""
    found = [_named(each.rpartition("=")[2], known) for each in asked]
    return [each for each in found if each] if all(found) else []


def with_given_gpus(container: Container, vendor: str, ids: Sequence[str], known: Sequence[str]) -> Container:
    """The container as an agent runs it: each of its requests with its own ids. ``known`` are all of the vendor."""
    if not ids:
        return container
    rest = iter(ids)
    reservations = container.deploy.resources.reservations
    given = [_given(each, vendor, rest, len(ids), known) for each in reservations.devices]
    gpus = [_given(each, vendor, rest, len(ids), known) for each in container.gpus]
    resources = container.deploy.resources.model_copy(
        update={"reservations": reservations.model_copy(update={"devices": given})}
    )
    update = {"deploy": container.deploy.model_copy(update={"resources": resources})} if given else {}
    return container.model_copy(update=update | ({"gpus": gpus} if gpus else {}))


def _given(
    request: DeviceReservation, vendor: str, rest: Iterator[str], most: int, known: Sequence[str]
) -> DeviceReservation:
    wanted = len(request.device_ids) if request.device_ids else request.count
    ids = list(islice(rest, wanted if isinstance(wanted, int) else most))
    if request.driver == CDI:
        return request.model_copy(
            update={"device_ids": [_cdi_name(each, vendor, known) for each in ids], "count": None}
        )
    driver = request.driver if vendor == NVIDIA else vendor
    return request.model_copy(update={"device_ids": ids, "count": None, "driver": driver})


def _cdi_name(gpu: str, vendor: str, known: Sequence[str]) -> str:
    """NVIDIA's toolkit names its GPUs by their UUIDs too, all others by their numbers."""
    return f"{vendor}.com/gpu={gpu if vendor == NVIDIA else known.index(gpu)}"


def _named(text: str, known: Sequence[str]) -> str:
    if text.isdecimal():
        return known[int(text)] if int(text) < len(known) else ""
    found = [each for each in known if each.lower().startswith(text.lower())]
    return found[0] if len(found) == 1 else ""
