"""GPUs of AMD and Intel, by the render nodes that the kernel shows; NVIDIA's come from their own library.

``vainfo``, where it is installed, tells which codecs a GPU encodes. It is asked once: a driver may take seconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gamekeeper.domain.node.inventory import Gpu

DRM = Path("/sys/class/drm")
VENDORS = {"0x1002": ("amd", "AMD"), "0x8086": ("intel", "Intel")}
ASK_SECONDS = 5.0
_ENCODES = re.compile(r"VAProfile(H264|HEVC|AV1|VP8|VP9)\w*\s*:\s*VAEntrypointEncSlice")


def render_gpus(drm: Path = DRM, ask: Callable[[str], str] | None = None) -> list[Gpu]:
    """``ask`` gives vainfo's words on a render node."""
    found = [_gpu(folder, ask or _vainfo) for folder in sorted(drm.glob("renderD*"))]
    return [gpu for gpu in found if gpu is not None]


def _gpu(folder: Path, ask: Callable[[str], str]) -> Gpu | None:
    device = folder / "device"
    vendor = VENDORS.get(_read(device / "vendor"))
    if vendor is None:
        return None
    node = f"/dev/dri/{folder.name}"
    name = _read(device / "product_name") or f"{vendor[1]} GPU {_read(device / 'device')}"
    memory = _read(device / "mem_info_vram_total")
    driver = device / "driver"
    return Gpu(
        name=name,
        uuid=os.path.basename(os.path.realpath(device)),
        memory_bytes=int(memory) if memory.isdigit() else 0,
        driver=os.path.basename(os.path.realpath(driver)) if driver.exists() else "",
        vendor=vendor[0],
        render_node=node,
        encoders=encoders_of(ask(node)),
    )


def encoders_of(words: str) -> list[str]:
    """The codecs that vainfo says are encoded."""
    return sorted({match[1].lower() for match in _ENCODES.finditer(words)})


def _vainfo(node: str) -> str:
    if shutil.which("vainfo") is None:
        return ""
    with suppress(OSError, subprocess.SubprocessError):
        command = ["vainfo", "--display", "drm", "--device", node]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
        return asked.stdout
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
