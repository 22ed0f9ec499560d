"""Metrics of the machine: psutil's numbers, rates made of its counters, and NVIDIA GPUs where the driver is there."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import psutil

from agent_worker.machine.gpu import Gpus

DOCKER_ROOT = Path("/var/lib/docker")
_VIRTUAL = ("lo", "veth", "br-", "docker")


class NodeSampler:
    """``folder`` is where the agent writes; its disk counts, and Docker's."""

    def __init__(self, folder: Path, gpus: Gpus) -> None:
        self._folders = [folder, DOCKER_ROOT]
        self._gpus = gpus
        self._before: tuple[float, dict[str, float]] | None = None
        psutil.cpu_percent(None)

    async def __call__(self) -> dict[str, float | None]:
        """The metrics by name; those that this machine does not have are missing."""
        return await asyncio.to_thread(self._sample)

    def _sample(self) -> dict[str, float | None]:
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        values: dict[str, float | None] = {
            "cpu_percent": psutil.cpu_percent(None),
            "load_1": psutil.getloadavg()[0],
            "memory_used_bytes": memory.total - memory.available,
            "memory_available_bytes": memory.available,
            "swap_used_bytes": swap.used,
            "temperature_celsius": _hottest(),
        }
        return values | self._disks() | self._rates() | self._gpus.sample()

    def _disks(self) -> dict[str, float | None]:
        usages = [psutil.disk_usage(str(folder)) for folder in self._folders if folder.exists()]
        fullest = max(usages, key=lambda usage: usage.percent, default=None)
        if fullest is None:
            return {}
        return {"disk_used_percent": fullest.percent, "disk_free_bytes": fullest.free}

    def _rates(self) -> dict[str, float | None]:
        now, counters = time.monotonic(), _counters()
        before, self._before = self._before, (now, counters)
        if before is None or now <= before[0]:
            return {}
        seconds = now - before[0]
        return {
            f"{name}_per_second": max(0.0, (value - before[1].get(name, value)) / seconds)
            for name, value in counters.items()
        }


def _counters() -> dict[str, float]:
    disk: Any = psutil.disk_io_counters()
    networks = [
        counters for name, counters in psutil.net_io_counters(pernic=True).items() if not name.startswith(_VIRTUAL)
    ]
    found: dict[str, float] = {
        "network_receive_bytes": sum(item.bytes_recv for item in networks),
        "network_send_bytes": sum(item.bytes_sent for item in networks),
    }
    if disk is not None:
        found |= {"disk_read_bytes": disk.read_bytes, "disk_write_bytes": disk.write_bytes}
    return found


def _hottest() -> float | None:
    """psutil has no sensors on some systems, and some sensors answer with nothing."""
    try:
        sensors = psutil.sensors_temperatures()
    except (AttributeError, OSError):
        return None
    return max((item.current for items in sensors.values() for item in items), default=None)
