"""Troubles of the supervisor: work that failed now, and that it tries again.

The supervisor holds what runs. So a failure of its own (a full disk, a machine without memory for a new process) is
told once when it begins, told once when it is over, and never ends the supervisor.
"""

from __future__ import annotations

from collections.abc import Callable

import psutil

from gamekeeper.errors import GamekeeperError
from gamekeeper.logging import get_logger

log = get_logger(__name__)


class Troubles:
    """Each trouble has a name; the name says in the log what was being done."""

    def __init__(self) -> None:
        self._standing: set[str] = set()

    def attempt(self, name: str, action: Callable[[], object]) -> bool:
        """Carries ``action`` out and returns True, or tells why it can't be done now and returns False."""
        try:
            action()
        except (OSError, GamekeeperError, psutil.Error) as error:
            self.begin(name, str(error))
            return False
        self.end(name)
        return True

    def begin(self, name: str, reason: str) -> None:
        if name not in self._standing:
            self._standing.add(name)
            log.warning("%s: %s; trying again", name, reason)

    def end(self, name: str) -> bool:
        """True when the trouble stood until now."""
        if name not in self._standing:
            return False
        self._standing.discard(name)
        log.info("%s: works again", name)
        return True
