"""Metrics by name. The order is that of the node link's enums; new ones come at the end."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NODE_METRICS = (
    "cpu_percent",
    "load_1",
    "memory_used_bytes",
    "memory_available_bytes",
    "swap_used_bytes",
    "disk_used_percent",
    "disk_free_bytes",
    "disk_read_bytes_per_second",
    "disk_write_bytes_per_second",
    "network_receive_bytes_per_second",
    "network_send_bytes_per_second",
    "temperature_celsius",
    "gpu_percent",
    "gpu_memory_used_bytes",
    "gpu_temperature_celsius",
    "spool_bytes",
    "samples_dropped",
)
CONTAINER_METRICS = (
    "cpu_percent",
    "memory_working_set_bytes",
    "memory_limit_bytes",
    "network_receive_bytes_per_second",
    "network_send_bytes_per_second",
    "block_read_bytes_per_second",
    "block_write_bytes_per_second",
    "pids",
    "oom_events",
)
MAX_VALUES = 64


@dataclass(frozen=True)
class Sample:
    """One moment of a node or a container. ``at`` is Unix seconds by the server's clock; NaN is "not known"."""

    at: float
    values: Sequence[float]


@dataclass(frozen=True)
class Retention:
    """Seconds that each resolution is kept."""

    raw: int = 3600
    minutes: int = 7 * 86_400
    hours: int = 90 * 86_400


def ordered(names: Sequence[str], found: Mapping[str, float | None]) -> list[float]:
    """The values in the order of ``names``; a missing one is NaN."""
    return [math.nan if (value := found.get(name)) is None else float(value) for name in names]


def named(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """The known values by name. An older or newer agent may send fewer or more."""
    return {name: value for name, value in zip(names, values, strict=False) if math.isfinite(value)}


VALUE_BYTES = array("f").itemsize


def pack(values: Sequence[float]) -> bytes:
    return array("f", values).tobytes()


def unpack(data: bytes) -> list[float]:
    values = array("f")
    values.frombytes(data)
    return values.tolist()


def mean(rows: Sequence[Sequence[float]]) -> list[float]:
    """The means, place by place, without unknown values."""
    width = max((len(row) for row in rows), default=0)
    means = []
    for place in range(width):
        known = [row[place] for row in rows if place < len(row) and math.isfinite(row[place])]
        means.append(sum(known) / len(known) if known else math.nan)
    return means
