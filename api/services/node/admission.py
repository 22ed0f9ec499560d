"""Admission of sessions: so many are opened at once, the others stand in line, and none is taken while this process is
late with those that it has.

Who stands in line keeps the call open, which costs nothing, and after a while is told when to ask again. It keeps its
place meanwhile. So a fleet that comes back to a slow api comes in one after another, and does not ask it to death.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from api.services.node.lateness import Lateness
from gamekeeper.backoff import jittered
from gamekeeper.errors import LaterError

AT_ONCE = 64
IN_LINE_SECONDS = 10.0  # agents wait for 15 s
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 10.0
PLACES_PER_SECOND = 50.0  # a guess at how fast the line moves, for the time that is told
FORGOTTEN_SECONDS = 60.0
RARELY_SECONDS = 2.0


class Admission:
    """``look`` is called again and again: it lets in whom lateness held up."""

    def __init__(self, lateness: Lateness, clock: Callable[[], float] = time.monotonic) -> None:
        self.lateness = lateness
        self._clock = clock
        self._opening = 0
        self._line: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tickets = 0
        self._let_in_at = clock()
        self._places: dict[str, tuple[float, float]] = {}  # since when, and until when the place is kept

    @property
    def waiting(self) -> int:
        """Nodes in line, and those that were told to come back."""
        self._forget()
        return len(self._places)

    @asynccontextmanager
    async def opening(self, node_id: str) -> AsyncIterator[None]:
        """The opening of one session. Raises LaterError for one whose turn did not come."""
        if self._has_room and not self._line:
            self._opening += 1
        else:
            await self._stand_in_line(node_id)
        self._places.pop(node_id, None)
        try:
            yield
        finally:
            self._leave()

    def check_in_time(self) -> None:
        """For work that brings more of it, as a certificate for a node that then comes. Raises LaterError while this
        process is late."""
        if self.lateness.is_late:
            raise LaterError("the control plane is busy", after_seconds=jittered(LONGEST_WAIT_SECONDS / 2, spread=0.5))

    def look(self) -> None:
        """Lets in all for whom there is room, and one now and then whatever is measured: a measure may err."""
        now = self._clock()
        while self._line and (self._has_room or (not self._opening and now - self._let_in_at > RARELY_SECONDS)):
            _, _, turn = heapq.heappop(self._line)
            if not turn.done():  # else it has gone
                turn.set_result(None)
                self._opening += 1
                self._let_in_at = now

    @property
    def _has_room(self) -> bool:
        return self._opening < AT_ONCE and not self.lateness.is_late

    def _leave(self) -> None:
        self._opening -= 1
        self.look()

    async def _stand_in_line(self, node_id: str) -> None:
        """Returns with room taken."""
        now = self._clock()
        since, _ = self._places.get(node_id, (now, 0.0))
        self._places[node_id] = (since, now + FORGOTTEN_SECONDS)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets += 1
        heapq.heappush(self._line, (since, self._tickets, turn))
        try:
            async with asyncio.timeout(jittered(0.9 * IN_LINE_SECONDS)):
                await turn
        except TimeoutError:
            self._give_back(turn)
            raise self._later(since) from None
        except asyncio.CancelledError:
            self._give_back(turn)
            raise

    def _give_back(self, turn: asyncio.Future[None]) -> None:
        """The turn may have come in the very moment in which its node went."""
        if turn.done() and not turn.cancelled():
            self._leave()

    def _later(self, since: float) -> LaterError:
        """The more are before it, the longer it is to wait; never all of them to the same moment."""
        before = sum(1 for other, _ in self._places.values() if other < since)
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS + before / PLACES_PER_SECOND)
        return LaterError(
            f"the control plane is busy, and {before} nodes are before this one",
            after_seconds=jittered(0.75 * wait, spread=1 / 3),
        )

    def _forget(self) -> None:
        now = self._clock()
        self._places = {node_id: place for node_id, place in self._places.items() if place[1] > now}
