"""GPUs: NVIDIA's by NVML, others by their render nodes.

A driver that is missing or fails is a fact about the node, never a fault of the agent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from agent_worker.machine.render_nodes import DRM, render_gpus
from gamekeeper.domain.node.inventory import Gpu
from gamekeeper.logging import get_logger

log = get_logger(__name__)


class Gpus:
    """The GPUs of this machine. ``problem`` is NVML's last failure; empty when it works, or is not there at all."""

    def __init__(self, nvml: Any = None, drm: Path = DRM) -> None:
        self.problem = ""
        self._others = render_gpus(drm)
        self._handles: list[Any] = []
        self._nvml = nvml or _load()
        if self._nvml is not None:
            self._tried(self._begin)
        if self.problem:
            log.warning("GPUs are not seen: %s", self.problem)

    def _begin(self) -> None:
        nvml = self._nvml
        nvml.nvmlInit()
        self._handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]

    def _tried(self, ask: Callable[[], Any]) -> Any:
        """NVML's answer, None when it fails."""
        try:
            return ask()
        except self._nvml.NVMLError as error:
            self.problem = f"NVML: {error}"
            return None

    def inventory(self) -> list[Gpu]:
        if self._handles:
            self.problem = ""
        found = [self._tried(partial(self._gpu, handle)) for handle in self._handles]
        return [*(gpu for gpu in found if gpu is not None), *self._others]

    def _gpu(self, handle: Any) -> Gpu:
        nvml = self._nvml
        return Gpu(
            name=_text(nvml.nvmlDeviceGetName(handle)),
            uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
            memory_bytes=nvml.nvmlDeviceGetMemoryInfo(handle).total,
            driver=_text(nvml.nvmlSystemGetDriverVersion()),
            vendor="nvidia",
        )

    def sample(self) -> dict[str, float | None]:
        """Mean use, memory of all, the hottest. Nothing of a GPU that fails, and no heat of one without a sensor."""
        nvml = self._nvml
        use, memory, heat = [], [], []
        for handle in self._handles:
            rates = self._tried(partial(nvml.nvmlDeviceGetUtilizationRates, handle))
            held = self._tried(partial(nvml.nvmlDeviceGetMemoryInfo, handle))
            if rates is None or held is None:
                continue
            use.append(rates.gpu)
            memory.append(held.used)
            try:
                heat.append(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
            except nvml.NVMLError:
                continue
        if not use:
            return {}
        return {
            "gpu_percent": sum(use) / len(use),
            "gpu_memory_used_bytes": sum(memory),
            "gpu_temperature_celsius": max(heat, default=None),
        }


def _load() -> Any:
    """The library is looked for first: its bindings cost memory on every node that has no GPU."""
    import ctypes.util

    if ctypes.util.find_library("nvidia-ml") is None:
        return None
    import pynvml

    return pynvml


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
