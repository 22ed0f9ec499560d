"""Packs a folder so that the same files make the same bytes, whoever packs them, and when."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

LEVEL = 6  # of gzip: 9 takes three times as long for one percent
TIME = 315_532_800  # 1980, before which some tools warn


def pack(folder: Path, archive: Path) -> str:
    """Writes ``folder`` as a .tar.gz whose one entry at the top is its name. Returns the archive's SHA-256."""
    partial = archive.with_name(archive.name + ".part")
    with (
        partial.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=LEVEL, mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in sorted([folder, *folder.rglob("*")]):
            name = str(path.relative_to(folder.parent))
            tar.add(path, name, recursive=False, filter=_without_traces)
    partial.replace(archive)
    return sha256_of(archive)


def content_of(files: Iterable[tuple[str, Path]]) -> str:
    """A digest of files and their names."""
    digest = hashlib.sha256()
    for name, path in files:
        if path.is_file():
            digest.update(f"{name} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """All that is in a folder, by its name there."""
    return ((str(path.relative_to(folder)), path) for path in sorted(folder.rglob("*")))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_traces(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = TIME
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry
