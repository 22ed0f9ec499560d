"""``make agent-bundle``: writes the archive, and beside it the note that the api serves about it.

They go where the api of this environment looks: see ``gamekeeper/bundles.py``.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gamekeeper import __version__
from gamekeeper.bundles import Bundle, bundle_dir
from scripts.agent_bundle.archive import content_of, files_in, pack
from scripts.agent_bundle.code import ROOT, libraries, library_files, source_files
from scripts.agent_bundle.interpreter import add_shared_libraries, copy_interpreter, glibc_needed, site_folder

OWN_FILES = ROOT / "deploy" / "agent"


def main() -> None:
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        raise SystemExit("gamekeeper: an agent bundle is built on Linux with glibc, because it takes along this Python")
    folder = bundle_dir()
    folder.mkdir(parents=True, exist_ok=True)
    inputs, stamp = content_of(_inputs()), folder / f"{platform.machine()}.made-from"
    made = [item for item in Bundle.all_in(folder) if item.architecture == platform.machine()]
    if made and stamp.exists() and stamp.read_text() == inputs:
        print(f"gamekeeper: {folder / made[0].file} is of this version already")
        return
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as scratch:
        bundle = build(Path(scratch), folder)
    for older in folder.glob(f"gamekeeper-agent-*-{bundle.architecture}-*.tar.gz"):
        if older.name != bundle.file:
            older.unlink()
    stamp.write_text(inputs)
    size = (folder / bundle.file).stat().st_size / 2**20
    print(f"gamekeeper: {folder / bundle.file} ({size:.0f} MiB)")
    print(f"gamekeeper: it runs on {bundle.architecture} with glibc {bundle.glibc} or newer; sha256 {bundle.sha256}")


def _inputs() -> Iterator[tuple[str, Path]]:
    """All that a bundle is made from: another one of these makes another bundle."""
    yield "python", Path(sys.executable).resolve()
    for folder in (OWN_FILES, Path(__file__).parent):
        yield from ((str(path.relative_to(ROOT)), path) for path in sorted(folder.rglob("*")) if path.suffix != ".pyc")
    ours, names = source_files()
    yield from ((str(path.relative_to(ROOT)), path) for path in ours)
    for library in libraries(names):
        for place, path in library_files(library):
            if place.name == "METADATA":
                yield str(place), path


def build(scratch: Path, folder: Path) -> Bundle:
    """Builds in ``scratch`` and leaves archive and note in ``folder``."""
    architecture = platform.machine()
    top = scratch / "gamekeeper-agent"
    python = top / "python"
    binary = copy_interpreter(python)
    _add_code(site_folder(python))
    add_shared_libraries(python, top)
    _compile(binary)
    shutil.copytree(OWN_FILES, top, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.yaml", "*.md"))
    glibc = glibc_needed(top)
    note = (
        f"version {__version__}\narchitecture {architecture}\nglibc {glibc}\ncontent {content_of(files_in(top))[:12]}\n"
    )
    (top / "VERSION").write_text(note)
    packed = scratch / "packed.tar.gz"
    bundle = Bundle(__version__, architecture, glibc, sha256=pack(top, packed))
    packed.replace(folder / bundle.file)
    bundle.save(folder)
    return bundle


def _add_code(site: Path) -> None:
    ours, names = source_files()
    for path in ours:
        _copy(path, site / path.relative_to(ROOT))
    for library in libraries(names):
        for place, path in library_files(library):
            _copy(path, site / place)


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _compile(binary: Path) -> None:
    """Compiled code without times in it, which the target never checks: it can't write there when it runs.

    One process with fixed hashes compiles it: what a file becomes depends on those that were compiled before it.
    """
    command = [str(binary), "-s", "-P", "-B", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    library = binary.parent.parent / "lib"
    done = subprocess.run([*command, "-s", str(library), str(library)], env={"PYTHONHASHSEED": "0"}, check=False)
    if done.returncode not in (0, 1):  # 1: a file that is no Python of this version, as templates are
        raise SystemExit("gamekeeper: the code of the bundle can't be compiled")


if __name__ == "__main__":
    main()
