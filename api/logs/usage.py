"""The room that logs take: by run or instance, and by node. A node is somebody else's machine, and must not fill ours.

The bytes of a run or an instance are those of its folder, looked at once, when its first log is opened. Those of a node
are counted as they come, and all anew at a start and from time to time (``api/services/log_room.py``): steps and
instances move to other nodes, and operators remove files.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from api.logs.dropped import FOLDER
from api.logs.segments import parse_name
from gamekeeper.errors import QuotaError

FILE_BYTES = 4096  # of a file beside its bytes: many small ones fill a disk as well
LATER_SECONDS = 10.0
INSTANCES = "instances"  # no run has this id: theirs are of hexadecimal digits
GIB = 1024**3


@dataclass(frozen=True)
class LogLimits:
    run_bytes: int = 4 * GIB
    instance_bytes: int = GIB
    node_bytes: int = 20 * GIB

    @property
    def segment_bytes(self) -> int:
        """Of an instance's log: the part of it that is dropped at once."""
        return self.instance_bytes // 16


@dataclass(eq=False)
class LogFolder:
    """The logs of one run or instance. ``sizes`` are bytes of segments, by the name of their log and first record."""

    path: Path
    sizes: dict[str, dict[int, int]] = field(default_factory=dict)
    bytes: int = 0
    found_bytes: int = 0  # there when it was looked at, maybe under a larger quota
    is_cut: bool = False  # told as over its quota
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def look(cls, path: Path) -> LogFolder:
        folder = cls(path)
        for file in files_of(path):
            folder.bytes += file.bytes
            if (found := parse_name(file.name)) is not None:
                folder.sizes.setdefault(found[0], {})[found[1]] = file.bytes - FILE_BYTES
        folder.found_bytes = folder.bytes
        return folder

    def oldest(self, name: str) -> str | None:
        """The log whose first segment may make room for the revision ``name`` of an instance, which writes."""
        for other in sorted((each for each in self.sizes if _revision(each)), key=_revision):
            sizes = self.sizes[other]
            if len(sizes) > 1 or (sizes and other != name):
                return other
        return None


def _revision(name: str) -> int:
    """0 for a file that is no log of a revision."""
    number = name.partition(".")[0]
    return int(number) if number.isascii() and number.isdecimal() else 0


class LogUsage:
    """``dropped`` counts bytes of lines that were not kept, or not any longer. ``held`` has the words on each node that
    is held back."""

    def __init__(self, limits: LogLimits) -> None:
        self.limits = limits
        self.nodes: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.held: dict[str, str] = {}
        self._came: Counter[Path] | None = Counter()  # since a count began, by folder; None while nobody counts
        self._came_of: Counter[str] = Counter()  # and by node

    def charge(self, folder: LogFolder, node: str, size: int) -> None:
        folder.bytes += size
        self.nodes[node] += size
        if self._came is not None:
            self._came[folder.path] += size
            self._came_of[node] += size

    def begin_count(self) -> None:
        """From here on what comes is noted, because it may come before or behind who counts."""
        self._came = Counter() if self._came is None else self._came

    def found_before(self, path: Path, by_node: Counter[str]) -> Counter[str]:
        """Those of a folder's bytes that were there when the count began: what came since is noted already."""
        came = self._came[path] if self._came is not None else 0
        before: Counter[str] = Counter()
        for node, size in by_node.items():
            known = min(size, came)
            came -= known
            before[node] = size - known
        return before

    def counted(self, before: Counter[str]) -> None:
        """Takes over what all folders had when the count began."""
        self.nodes.clear()
        self.nodes.update(before)
        self.nodes.update(self._came_of)
        self._came = None
        self._came_of.clear()

    def to_free(self, folder: LogFolder, node: str, size: int) -> int:
        """The bytes that an instance has to lose for ``size`` more. It makes up for what it adds to its node's, and not
        for what others did."""
        over_own = folder.bytes + size - self.limits.instance_bytes
        over_node = self.nodes[node] + size - self.limits.node_bytes
        return max(0, over_own, over_node if over_node <= size + FILE_BYTES else 0)

    def check_node(self, node: str, size: int) -> None:
        """Raises QuotaError for a node that is to keep its logs to itself for now."""
        used, limit = self.nodes[node], self.limits.node_bytes
        if used + size <= limit:
            self.held.pop(node, None)
            return
        self.held[node] = (
            f"its logs take {used / 2**20:,.0f} MiB of the {limit / 2**20:,.0f} MiB that it may fill "
            "(GAMEKEEPER_LOG_NODE_BYTES); further lines wait on the node"
        )
        raise QuotaError(f"node {node} is held back: {self.held[node]}", after_seconds=LATER_SECONDS, code="node_quota")


@dataclass(frozen=True)
class FoundFile:
    """``bytes`` count what a file costs beside its own."""

    name: str
    bytes: int
    changed_at: float


@dataclass(frozen=True)
class FoundFolder:
    path: Path
    is_instance: bool
    files: list[FoundFile]


def files_of(path: Path) -> Iterator[FoundFile]:
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    found = entry.stat(follow_symlinks=False)
                    yield FoundFile(entry.name, found.st_size + FILE_BYTES, found.st_mtime)
    except FileNotFoundError:
        return


def folders_of(root: Path) -> Iterator[FoundFolder]:
    """The folders of all runs and instances, one after another."""
    for folder, is_instance in ((root, False), (root / INSTANCES, True)):
        for path in _folders(folder):
            if is_instance or path.name not in (INSTANCES, FOLDER):
                yield FoundFolder(path, is_instance, list(files_of(path)))


def _folders(path: Path) -> Iterator[Path]:
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)
    except FileNotFoundError:
        return
