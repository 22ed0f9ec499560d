"""Agent bundles: archives that make a machine a node, built by ``make agent-bundle`` and served by the api.

Each has a note beside it, which tells a machine whether it can run the archive before it downloads it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gamekeeper.whole_file import write_whole

_SAFE = re.compile(r"[A-Za-z0-9._+-]{1,64}")
_NOTE_BYTES = 4096


def bundle_dir() -> Path:
    """The folder in which an environment keeps its bundles: they belong to the code that is installed beside them."""
    return Path(sys.prefix) / "share" / "gamekeeper" / "agent"


@dataclass(frozen=True)
class Bundle:
    """``glibc`` is the oldest version of it that the archive runs on."""

    version: str
    architecture: str
    glibc: str
    sha256: str

    @property
    def file(self) -> str:
        """The archive's name. The digest in it keeps an archive that is being downloaded from changing."""
        return f"gamekeeper-agent-{self.version}-{self.architecture}-{self.sha256[:12]}.tar.gz"

    @property
    def note(self) -> str:
        """Lines of a word and its value, for shells."""
        return "".join(
            f"{name} {value}\n"
            for name, value in (
                ("file", self.file),
                ("sha256", self.sha256),
                ("version", self.version),
                ("architecture", self.architecture),
                ("glibc", self.glibc),
            )
        )

    def save(self, folder: Path) -> None:
        path = folder / f"{self.architecture}.txt"
        write_whole(path, self.note)
        path.chmod(0o644)  # the api may run as another user

    @classmethod
    def parse(cls, note: str) -> Self | None:
        """None for a text that is no note."""
        found = dict(line.split(" ", 1) for line in note.splitlines() if " " in line)
        names = ("version", "architecture", "glibc", "sha256")
        if not all(_SAFE.fullmatch(found.get(name, "")) for name in names):
            return None
        return cls(*(found[name] for name in names))

    @classmethod
    def all_in(cls, folder: Path) -> Sequence[Self]:
        """The bundles of a folder whose archives are there, by architecture."""
        notes = sorted(folder.glob("*.txt"))
        found = [cls.parse(path.read_text(errors="replace")[:_NOTE_BYTES]) for path in notes]
        return [item for item in found if item is not None and (folder / item.file).is_file()]
