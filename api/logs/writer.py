"""One process writes the logs of a folder. Another one, as beside an api that is being replaced, would write over what
the first has acknowledged, because each knows the ends of logs by heart.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from gamekeeper.errors import UnavailableError

LOCK = ".writer"


class OneWriter:
    """The kernel gives the lock back when its process ends, however that is."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._is_ours = False
        self._trouble = ""

    @property
    def is_ours(self) -> bool:
        """True from the first moment on in which no other process has it."""
        if not self._is_ours:
            self._is_ours = self._take()
        return self._is_ours

    def check(self) -> None:
        """Raises UnavailableError while another process writes."""
        if not self.is_ours:
            raise UnavailableError(
                f"logs can't be kept: {self._trouble}",
                hint="GAMEKEEPER_LOGS_DIR needs room, and one api alone; agents send again",
            )

    def _take(self) -> bool:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            opened = os.open(self._root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._trouble = f"{self._root}: {error.strerror}"
            return False
        try:
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(opened)
            self._trouble = f"another process writes those of {self._root}"
            return False
        except OSError:  # a file system without locks
            os.close(opened)
            return True
        weakref.finalize(self, os.close, opened)
        return True
