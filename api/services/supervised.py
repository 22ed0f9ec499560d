"""Background tasks of the api: each is called again and again, and no failure is the end of it.

A failure is counted, told in the log once an outage, and followed by a wait that grows with full jitter. One row that
can't be dealt with is told once and skipped, so that it holds up no other.
``/metrics`` shows both numbers of each task.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from gamekeeper.backoff import MAXIMUM_SECONDS, Backoff, jittered
from gamekeeper.errors import GamekeeperError, UnavailableError
from gamekeeper.logging import get_logger

log = get_logger(__name__)

ROUND_SECONDS = 120.0  # few rounds take as long; one that does waits for something that never comes
UNAVAILABLE_IN_A_ROW = 3  # then it is no matter of rows, and asking for each of thousands would take hours
MAX_TOLD = 1000


class Supervised:
    """One task. ``failures`` counts rounds and rows; ``age`` is seconds since a round last ended well, 0 while the
    task has nothing to do."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.failures = 0
        self._clock = clock
        self._succeeded_at = clock()
        self._is_running = False
        self._in_a_row = 0
        self._unavailable_rows = 0
        self._odd_rows: set[str] = set()

    @property
    def age(self) -> float:
        return self._clock() - self._succeeded_at if self._is_running or self._in_a_row else 0.0

    async def forever(
        self,
        work: Callable[[], Awaitable[None]],
        period: float,
        slowest: float = MAXIMUM_SECONDS,
        limit: float | None = ROUND_SECONDS,
    ) -> None:
        """Calls ``work`` every ``period`` seconds, and after failures more seldom, about every ``slowest`` at last.

        ``limit`` bounds a round. None is for work that bounds each of its rows, of which there may be any number.
        """
        backoff = Backoff(initial=period, maximum=slowest)
        self._is_running, self._succeeded_at = True, self._clock()
        try:
            while True:
                try:
                    async with asyncio.timeout(limit):
                        await work()
                except Exception as error:
                    self.failed(error)
                    wait = max(jittered(period), backoff.next_delay())
                else:
                    self.succeeded()
                    backoff.reset()
                    wait = jittered(period)
                await asyncio.sleep(wait)
        finally:
            self._is_running = False

    def failed(self, error: Exception) -> None:
        self.failures += 1
        self._in_a_row += 1
        if self._in_a_row > 1:
            return
        if isinstance(error, GamekeeperError):
            log.warning("%s waits: %s", self.name, error)
        else:
            log.error("%s failed, and is tried again", self.name, exc_info=error)

    def succeeded(self) -> None:
        if self._in_a_row:
            log.info("%s goes on after %d failures", self.name, self._in_a_row)
        self._in_a_row = self._unavailable_rows = 0
        self._succeeded_at = self._clock()

    @contextmanager
    def row(self, name: str) -> Iterator[None]:
        """Guards the work on one row: an error is counted and told once, and the next row is begun.

        Raises UnavailableError (or TimeoutError) when the third row in a row meets one: then a part is away.
        """
        try:
            yield
        except Exception as error:
            self.failures += 1
            self._tell_row(name, error)
            if isinstance(error, UnavailableError | TimeoutError):
                self._unavailable_rows += 1
                if self._unavailable_rows >= UNAVAILABLE_IN_A_ROW:
                    self._unavailable_rows = 0
                    raise
        else:
            self._unavailable_rows = 0
            self._odd_rows.discard(name)

    def _tell_row(self, name: str, error: Exception) -> None:
        if name in self._odd_rows or len(self._odd_rows) >= MAX_TOLD:
            return
        self._odd_rows.add(name)
        log.error("%s skips %s for now: %s", self.name, name, error, exc_info=not isinstance(error, GamekeeperError))
