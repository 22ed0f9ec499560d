"""One call at a time in a thread of its own: the supervisor, which restarts what dies, never waits for an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable


class InBackground:
    """``call`` may block for as long as it likes."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def is_done(self) -> bool:
        """True once for each call that ended well; begins one where none goes on. Raises the error of one that failed,
        and the next look begins another."""
        if self._thread is None:
            self._error = None
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._thread.join(0.01)
        if self._thread.is_alive():
            return False
        self._thread = None
        if self._error is not None:
            raise self._error
        return True

    def _run(self) -> None:
        try:
            self._call()
        except Exception as error:  # it is raised again, where the supervisor looks
            self._error = error
