"""Host folders that a container has, and which of them can't be had together.

Whoever may write in a folder may put anything where another container's folder is. So no folder that a container can
write to may hold the source of another mount: neither in one container, nor between containers that run at a time.
"""

from __future__ import annotations

import json
import os.path
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.values import has_template
from gamekeeper.domain.language.volume import split_volume
from gamekeeper.domain.node.engine_folders import SOCKETS


@dataclass(frozen=True)
class HostFolder:
    """A folder, or a file, of the machine that a container has at ``target``."""

    source: str
    target: str
    writable: bool

    def spoils(self, other: HostFolder) -> bool:
        """True when what writes here could replace the other's source."""
        return self.writable and self.source != other.source and is_at_or_below(other.source, self.source)


def host_folders(container: Container) -> list[HostFolder]:
    """Those of a container, in its order. A text that is no volume, or that has no value yet, is none."""
    return [folder for text in container.volumes if (folder := host_folder(text)) is not None]


def host_folder(text: str) -> HostFolder | None:
    """The folder of one entry of ``volumes``; None for another kind, and for the engine's socket, which nobody gets."""
    try:
        source, target, mode = split_volume(text)
    except ValueError:
        return None
    if not source.startswith("/") or has_template(text) or real_spelling(source) in SOCKETS:
        return None
    return HostFolder(real_spelling(source), target, "ro" not in mode.split(","))


def engine_sockets(container: Container) -> list[str]:
    """The paths in a container at which it asks for the engine's socket."""
    found = []
    for text in container.volumes:
        with suppress(ValueError):
            volume = split_volume(text)
            if not has_template(text) and volume.source.startswith("/") and real_spelling(volume.source) in SOCKETS:
                found.append(volume.target)
    return found


def is_at_or_below(path: str, parent: str) -> bool:
    return PurePosixPath(path).is_relative_to(PurePosixPath(parent))


def real_spelling(path: str) -> str:
    """The path without ``..`` and doubled slashes. Two slashes at the beginning mean one, on Linux."""
    return "/" + os.path.normpath(path).lstrip("/")


def clash(ours: Iterable[HostFolder], theirs: Sequence[HostFolder]) -> tuple[HostFolder, HostFolder] | None:
    """The first two of which one could replace the other's source: first the one that could."""
    for own in ours:
        for other in theirs:
            if own.spoils(other):
                return own, other
            if other.spoils(own):
                return other, own
    return None


def to_label(folders: Sequence[HostFolder]) -> str:
    """The folders as text, by which they are known again."""
    return json.dumps([asdict(folder) for folder in folders], separators=(",", ":"))


def from_label(text: str) -> list[HostFolder]:
    """The folders that ``to_label`` wrote; none of a text that it did not write."""
    try:
        return [
            HostFolder(str(item["source"]), str(item["target"]), bool(item["writable"])) for item in json.loads(text)
        ]
    except (ValueError, TypeError, KeyError):
        return []
