"""GPUs by NVML, which is a driver's library and fails like one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from agent_worker.machine.gpu import Gpus


class NvmlError(Exception):
    pass


class Nvml:
    """NVML of two GPUs; what is named in ``broken`` fails."""

    NVMLError = NvmlError
    NVML_TEMPERATURE_GPU = 0

    def __init__(self) -> None:
        self.broken: set[str] = set()

    def _answer(self, name: str, value: Any) -> Any:
        if name in self.broken:
            raise NvmlError("GPU is lost")
        return value

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers: dict[str, Callable[..., Any]] = {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": lambda: 2,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetName": lambda _: b"NVIDIA \xff",
            "nvmlDeviceGetUUID": lambda index: f"GPU-{index}",
            "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=80, used=8),
            "nvmlSystemGetDriverVersion": lambda: "595",
            "nvmlDeviceGetUtilizationRates": lambda index: SimpleNamespace(gpu=10 * (index + 1)),
            "nvmlDeviceGetTemperature": lambda index, _: 50 + index,
        }
        return lambda *arguments: self._answer(name, answers[name](*arguments))


def test_what_it_tells() -> None:
    gpus = Gpus(Nvml())
    assert [(gpu.name, gpu.uuid, gpu.driver) for gpu in gpus.inventory()] == [
        ("NVIDIA \N{REPLACEMENT CHARACTER}", "GPU-0", "595"),
        ("NVIDIA \N{REPLACEMENT CHARACTER}", "GPU-1", "595"),
    ]
    sample = {"gpu_percent": 15, "gpu_memory_used_bytes": 16, "gpu_temperature_celsius": 51}
    assert (gpus.sample(), gpus.problem) == (sample, "")


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"])
def test_a_driver_that_does_not_begin_is_told(call: str) -> None:
    nvml = Nvml()
    nvml.broken = {call}
    gpus = Gpus(nvml)
    assert (gpus.inventory(), gpus.sample(), gpus.problem) == ([], {}, "NVML: GPU is lost")


def test_a_driver_that_fails_later_takes_nothing_with_it_and_is_told_until_it_is_back() -> None:
    nvml = Nvml()
    gpus = Gpus(nvml)
    nvml.broken = {"nvmlDeviceGetUtilizationRates", "nvmlDeviceGetName"}
    assert (gpus.sample(), gpus.problem) == ({}, "NVML: GPU is lost")
    assert (gpus.inventory(), gpus.problem) == ([], "NVML: GPU is lost")
    nvml.broken = set()
    assert len(gpus.inventory()) == 2
    assert gpus.problem == ""


def test_a_gpu_without_a_thermometer_is_still_seen() -> None:
    nvml = Nvml()
    gpus = Gpus(nvml)
    nvml.broken = {"nvmlDeviceGetTemperature"}
    assert gpus.sample() == {"gpu_percent": 15, "gpu_memory_used_bytes": 16, "gpu_temperature_celsius": None}
