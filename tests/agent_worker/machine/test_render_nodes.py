"""GPUs of AMD and Intel, as the kernel shows them."""

from __future__ import annotations

from pathlib import Path

from agent_worker.machine.render_nodes import encoders_of, render_gpus

VAINFO = """
vainfo: Driver version: Mesa Gallium driver 23.1
      VAProfileH264High               : VAEntrypointVLD
      VAProfileH264High               : VAEntrypointEncSlice
      VAProfileHEVCMain10             : VAEntrypointEncSliceLP
      VAProfileAV1Profile0            : VAEntrypointVLD
"""


def card(drm: Path, name: str, vendor: str, **files: str) -> None:
    device = drm / name / "device"
    device.mkdir(parents=True)
    for file, text in {"vendor": vendor, "device": "0x73bf", **files}.items():
        (device / file).write_text(f"{text}\n")


def test_amd_and_intel_are_found_and_others_left(tmp_path: Path) -> None:
    (tmp_path / "amdgpu").mkdir()
    card(tmp_path, "renderD128", "0x1002", product_name="Radeon PRO W7800", mem_info_vram_total="17163091968")
    (tmp_path / "renderD128/device/driver").symlink_to(tmp_path / "amdgpu")
    card(tmp_path, "renderD129", "0x8086")
    card(tmp_path, "renderD130", "0x10de")
    amd, intel = render_gpus(tmp_path, lambda node: VAINFO if node.endswith("128") else "")
    assert (amd.name, amd.vendor, amd.driver) == ("Radeon PRO W7800", "amd", "amdgpu")
    assert (amd.memory_bytes, amd.render_node) == (17163091968, "/dev/dri/renderD128")
    assert amd.encoders == ["h264", "hevc"]
    assert (intel.name, intel.vendor, intel.encoders) == ("Intel GPU 0x73bf", "intel", [])


def test_no_gpu_is_no_fault(tmp_path: Path) -> None:
    assert render_gpus(tmp_path / "none") == []
    assert encoders_of("error: can't connect to X server!") == []
