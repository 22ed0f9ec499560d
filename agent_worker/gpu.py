"""NVIDIA GPUs by NVML. A driver that is missing or fails is a fact about the node, never a fault of the agent."""

from __future__ import annotations

from typing import Any

from gamekeeper.domain.inventory import Gpu
from gamekeeper.logging import get_logger

log = get_logger(__name__)


class Gpus:
    """``problem`` says why there are none although NVML is installed."""

    def __init__(self) -> None:
        self.problem = ""
        self._handles: list[Any] = []
        self._nvml = self._load()

    def _load(self) -> Any:
        """The library is looked for first: its bindings cost memory on every node that has no GPU."""
        import ctypes.util

        if ctypes.util.find_library("nvidia-ml") is None:
            return None
        import pynvml

        try:
            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            self.problem = f"NVML: {error}"
            log.warning("GPUs are not seen: %s", error)
            return None
        return pynvml

    def inventory(self) -> list[Gpu]:
        found = []
        for handle in self._handles if self._nvml else ():
            try:
                found.append(
                    Gpu(
                        name=_text(self._nvml.nvmlDeviceGetName(handle)),
                        uuid=_text(self._nvml.nvmlDeviceGetUUID(handle)),
                        memory_bytes=self._nvml.nvmlDeviceGetMemoryInfo(handle).total,
                        driver=_text(self._nvml.nvmlSystemGetDriverVersion()),
                    )
                )
            except self._nvml.NVMLError as error:
                self.problem = f"NVML: {error}"
        return found

    def sample(self) -> dict[str, float | None]:
        """Mean use, memory of all, the hottest. Nothing of a GPU that fails."""
        use, memory, heat = [], [], []
        for handle in self._handles if self._nvml else ():
            try:
                use.append(self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
                memory.append(self._nvml.nvmlDeviceGetMemoryInfo(handle).used)
                heat.append(self._nvml.nvmlDeviceGetTemperature(handle, self._nvml.NVML_TEMPERATURE_GPU))
            except self._nvml.NVMLError as error:
                self.problem = f"NVML: {error}"
        if not use:
            return {}
        return {
            "gpu_percent": sum(use) / len(use),
            "gpu_memory_used_bytes": sum(memory),
            "gpu_temperature_celsius": max(heat, default=None),
        }


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
