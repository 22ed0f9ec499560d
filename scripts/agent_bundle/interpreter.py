"""A copy of the Python that runs this, which works wherever it is unpacked.

Neither PyPI nor Debian has one that can be moved, so the building machine's own is taken, with the shared libraries
that it needs. Those of glibc alone are the target's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

# Of the target: the loader, and what comes with it in one version.
GLIBC = re.compile(r"(ld-linux.*|linux-vdso|lib(c|m|dl|rt|util|pthread|resolv|anl|nss_.*|nsl))\.so(\.\d+)?$")
_NEEDED_VERSION = re.compile(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)")
LEFT_OUT = frozenset(
    "__pycache__ site-packages dist-packages sitecustomize.py test idlelib lib2to3 tkinter turtledemo turtle.py "
    "ensurepip pydoc_data".split()
)
# Modules of screens, of databases that nobody here uses, and of CPython's own tests.
_LEFT_OUT_MODULES = re.compile(
    r"(_?tkinter|readline|_curses.*|nis|_?gdbm|_dbm|_crypt|ossaudiodev|_test.*|_xx.*|xx.*)\."
)


def copy_interpreter(target: Path) -> Path:
    """Copies binary, standard library and shared libraries below ``target``. Returns the new binary."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binary = target / "bin" / version
    binary.parent.mkdir(parents=True)
    shutil.copyfile(Path(sys.executable).resolve(), binary)
    binary.chmod(0o755)
    (target / "bin" / "python3").symlink_to(version)
    shutil.copytree(sysconfig.get_path("stdlib"), target / "lib" / version, ignore=_left_out)
    return binary


def site_folder(target: Path) -> Path:
    """The folder in which the copied interpreter looks for libraries: Debian's has another name than CPython's."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    ask = "import site; print(site.getsitepackages()[-1])"
    told = _run(str(target / "bin" / version), "-I", "-B", "-c", ask).strip()
    folder = Path(told)
    if not folder.is_relative_to(target):
        raise SystemExit(f"gamekeeper: this Python can't be moved: it looks for its libraries in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def add_shared_libraries(target: Path, root: Path) -> None:
    """Copies what the binaries below ``root`` need into ``target/lib``, and has each look for it there.

    They look nowhere else: a folder of the building machine may be anybody's on another one.
    """
    folder = target / "lib"
    waiting = list(elf_files(root))
    while waiting:
        binary = waiting.pop()
        needed = [item for item in _needed(binary) if not item.is_relative_to(root)]
        for library in needed:
            copy = folder / library.name
            if not copy.exists():
                shutil.copyfile(library, copy)
                copy.chmod(0o755)
                waiting.append(copy)
        before = _run(_patchelf(), "--print-rpath", str(binary)).strip()
        places = [place for place in before.split(":") if place.startswith("$ORIGIN")]
        if needed or binary.parent == folder:
            up = "/".join([".."] * len(binary.parent.relative_to(root).parts))
            places.append(f"$ORIGIN/{up}/{folder.relative_to(root)}")
        if ":".join(places) != before:
            _run(_patchelf(), "--set-rpath", ":".join(places), str(binary))


def glibc_needed(root: Path) -> str:
    """The oldest glibc that all binaries below ``root`` run on."""
    found = [int(minor) for binary in elf_files(root) for minor in _NEEDED_VERSION.findall(binary.read_bytes())]
    return f"2.{max(found)}"


def elf_files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def _left_out(folder: str, names: Iterable[str]) -> set[str]:
    return {
        name
        for name in names
        if name in LEFT_OUT or name.startswith("config-") or (folder.endswith("lib-dynload") and _is_left_out(name))
    }


def _is_left_out(module: str) -> bool:
    return _LEFT_OUT_MODULES.match(module) is not None


def _needed(binary: Path) -> list[Path]:
    """The shared libraries of a binary as this machine's loader finds them, without glibc's own."""
    found = []
    for line in _run("ldd", str(binary)).splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if not arrow or GLIBC.match(name):
            continue
        if "not found" in rest:
            raise SystemExit(f"gamekeeper: {binary} needs {name}, which this machine does not have")
        found.append(Path(rest.rpartition(" (")[0]))
    return found


def _patchelf() -> str:
    return str(Path(sys.executable).parent / "patchelf")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"gamekeeper: {' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
