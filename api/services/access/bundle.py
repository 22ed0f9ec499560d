"""Agent bundles, for machines that are about to join."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gamekeeper.bundles import Bundle, bundle_dir
from gamekeeper.errors import NotFoundError, UnavailableError

# Anybody may download, so it is bounded. A fleet that joins at once waits its turn: `join.sh` asks again.
DOWNLOADS = 32
DOWNLOADS_OF_ADDRESS = 8  # many machines behind one NAT share an address
DOWNLOAD_SECONDS = 900.0


class BundleService:
    """Reads the folder anew at each question: a bundle that was just built is served at once."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder or bundle_dir()
        self._downloads: Counter[str] = Counter()

    def note(self, architecture: str) -> str:
        """Lines about the archive for an architecture. Raises NotFoundError where there is none."""
        for bundle in Bundle.all_in(self._folder):
            if bundle.architecture == architecture:
                return bundle.note
        raise NotFoundError(
            f"no agent bundle for {architecture[:40]} is here",
            hint="build one on the control plane, on a machine of that architecture: make agent-bundle",
        )

    def archive(self, file: str) -> Path:
        """The archive of that name. Raises NotFoundError for any other name."""
        for bundle in Bundle.all_in(self._folder):
            if bundle.file == file:
                return self._folder / bundle.file
        raise NotFoundError("no agent bundle of that name is here", hint="read its name from /agent/ARCHITECTURE.txt")

    @contextmanager
    def download(self, address: str) -> Iterator[None]:
        """A place among the downloads under way. Raises UnavailableError when none is free."""
        if self._downloads.total() >= DOWNLOADS or self._downloads[address] >= DOWNLOADS_OF_ADDRESS:
            raise UnavailableError("too many machines download the agent at this moment", hint="try again")
        self._downloads[address] += 1
        try:
            yield
        finally:
            self._downloads[address] -= 1
            self._downloads += Counter()  # forgets addresses without downloads
