"""Endless work of every process: no failure is its end, each is counted, and each outage is told once.

Work is either a round that is called again and again (``forever``), or a loop that keeps its own pace (``endless``).
An outage ends when nothing has failed for a while. A database on a full disk takes one write in five, and a line for
each of its failures would fill the disk further.
One row that can't be dealt with is told once and skipped, so that it holds up no other.
The api shows both numbers of each of its tasks in ``/metrics``.
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
QUIET_SECONDS = 30.0  # without a failure, and an outage is over
FIRST_START_SECONDS, SLOWEST_START_SECONDS = 1.0, 60.0  # of a loop that ended
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
        self._failed_at = clock()
        self._is_running = False
        self._is_failing = False
        self._in_outage = 0  # failures of the outage that has been told
        self._unavailable_rows = 0
        self._odd_rows: dict[str, float] = {}

    @property
    def age(self) -> float:
        return self._clock() - self._succeeded_at if self._is_running or self._is_failing else 0.0

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

    async def endless(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Runs ``loop``, and again when it fails or ends, which it should not. The loop itself tells of the failures
        that it foresees, by ``failed`` and ``succeeded``."""
        backoff = Backoff(initial=FIRST_START_SECONDS, maximum=SLOWEST_START_SECONDS)
        while True:
            begun_at = self._clock()
            settled = asyncio.get_running_loop().call_later(QUIET_SECONDS, self.succeeded)
            try:
                await loop()
            except Exception as error:
                if self._is_past(begun_at):
                    backoff.reset()
                self.failed(error)
            finally:
                settled.cancel()
            await asyncio.sleep(backoff.next_delay())

    def failed(self, error: Exception) -> None:
        """Counts the failure, and tells it when it begins an outage."""
        self._end_outage()
        self.failures += 1
        self._in_outage += 1
        self._is_failing, self._failed_at = True, self._clock()
        if self._in_outage > 1:
            return
        if isinstance(error, GamekeeperError):
            log.warning("%s waits: %s", self.name, error)
        else:
            log.error("%s failed, and is tried again", self.name, exc_info=error)

    def succeeded(self) -> None:
        self._is_failing, self._unavailable_rows = False, 0
        self._succeeded_at = self._clock()
        self._end_outage()

    def _end_outage(self) -> None:
        if self._in_outage and not self._is_failing and self._is_past(self._failed_at):
            log.info("%s goes on after %d failures", self.name, self._in_outage)
            self._in_outage = 0

    def _is_past(self, moment: float) -> bool:
        return self._clock() - moment >= QUIET_SECONDS

    @contextmanager
    def row(self, name: str) -> Iterator[None]:
        """Guards the work on one row: an error is counted and told once, and the next row is begun.

        Raises UnavailableError (or TimeoutError) when the third row in a row meets one: then a part is away.
        """
        try:
            yield
        except Exception as error:
            self.skipped(name, error)
            if isinstance(error, UnavailableError | TimeoutError):
                self._unavailable_rows += 1
                if self._unavailable_rows >= UNAVAILABLE_IN_A_ROW:
                    self._unavailable_rows = 0
                    raise
        else:
            self._unavailable_rows = 0
            if name in self._odd_rows and self._is_past(self._odd_rows[name]):
                del self._odd_rows[name]

    def skipped(self, name: str, error: Exception) -> None:
        """Counts a row, and tells it once until it has been well for a while. Of too many the longest known are told
        again."""
        self.failures += 1
        is_known = self._odd_rows.pop(name, None) is not None
        self._odd_rows[name] = self._clock()
        if len(self._odd_rows) > MAX_TOLD:
            del self._odd_rows[next(iter(self._odd_rows))]
        if not is_known:
            trace = not isinstance(error, GamekeeperError)
            log.error("%s skips %s for now: %s", self.name, name, error, exc_info=trace)
