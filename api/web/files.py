"""The console's built files, held in memory: a request is a look-up by its path, so no path leads out of the folder.

They are read anew when a build has replaced them, so that ``make up`` need not wait for the build. A build puts its
folder in place whole, with ``build.txt`` in it: the hash of the sources it was made from.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

BUILT = Path(__file__).parent / "built"
STAMP = "build.txt"
INDEX = "/index.html"
ASSETS = "/assets/"  # their names hold the hash of their content
ENCODINGS = {"br": ".br", "gzip": ".gz"}  # the best first
_TYPES = {".js": "text/javascript", ".woff2": "font/woff2", ".svg": "image/svg+xml", ".json": "application/json"}


@dataclass(frozen=True)
class WebFile:
    """``forms`` has the content by its encoding; ``""`` is the plain one."""

    path: str
    media_type: str
    tag: str
    forms: Mapping[str, bytes]

    @property
    def never_changes(self) -> bool:
        return self.path.startswith(ASSETS)


@dataclass(frozen=True)
class _Built:
    made: int
    build: str
    files: Mapping[str, WebFile]


_NOTHING = _Built(0, "", MappingProxyType({}))


class WebFiles:
    def __init__(self, folder: Path = BUILT) -> None:
        self._folder = folder
        self._built = _NOTHING

    @property
    def build(self) -> str:
        """Names the build that is there; empty where none is. A page of another build is an old one."""
        return self._newest().build

    def find(self, path: str) -> WebFile | None:
        return self._newest().files.get(path)

    def _newest(self) -> _Built:
        try:
            made = (self._folder / STAMP).stat().st_mtime_ns
            if made != self._built.made:
                self._built = _read(self._folder, made)
        except OSError:  # no build, or one that is being put in place
            self._built = _NOTHING
        return self._built


def _read(folder: Path, made: int) -> _Built:
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    plain = [path for path in names if path.suffix not in ENCODINGS.values() and path.name != STAMP]
    files = [_file(folder, path) for path in plain]
    return _Built(made, (folder / STAMP).read_text().strip(), {file.path: file for file in files})


def _file(folder: Path, path: Path) -> WebFile:
    forms = {"": path.read_bytes()}
    for encoding, suffix in ENCODINGS.items():
        encoded = path.with_name(path.name + suffix)
        if encoded.is_file():
            forms[encoding] = encoded.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    tag = hashlib.sha256(forms[""]).hexdigest()[:20]
    return WebFile(f"/{path.relative_to(folder).as_posix()}", media_type, tag, forms)
