"""The budget of crashes: how soon a process is started again, and when that is given up.

Times are seconds of a clock that no setting of the machine's clock moves. It begins anew with the machine, so times
that lie ahead are moved to now: a crash is never forgotten for that, and nothing waits longer than its delay.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 300.0
_RISING = 10  # so many delays are shorter than the longest one
_LONGEST_WAIT_SECONDS = 7 * 86_400.0  # that a budget of very many attempts adds to its window


class Crashes(BaseModel):
    """The crashes within the window, oldest first, and ``total`` since the newest order."""

    times: list[float] = Field(default_factory=list)
    total: int = 0

    def and_one(self, now: float, window: float) -> Crashes:
        """With a crash that happened now; those from before the window are out."""
        ahead = max(0.0, self.times[-1] - now) if self.times else 0.0
        recent = [at - ahead for at in self.times if now - (at - ahead) < window]
        return Crashes(times=[*recent, now], total=self.total + 1)

    def are_too_many(self, attempts: int) -> bool:
        return len(self.times) > attempts

    @property
    def delay(self) -> float:
        """Seconds before the next start. The first crash of a window is followed by a start at once."""
        return delay_of(len(self.times) - 1)


def delay_of(failures: int) -> float:
    """Seconds after so many failures in a row: none, 1, 2, 4, and so on."""
    if failures <= 0:
        return 0.0
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 32))


def span_of(window: float, attempts: int) -> float:
    """The seconds within which so many crashes are a loop: the window, and the delays before their starts. Without
    these, many attempts would never come to an end, because their delays alone are longer than the window."""
    waited = sum(delay_of(number) for number in range(min(attempts, _RISING)))
    waited += LONGEST_DELAY_SECONDS * max(0, attempts - _RISING)
    return window + min(waited, _LONGEST_WAIT_SECONDS)


def left_of(since: float, delay: float, now: float) -> float:
    """Seconds left of a delay that began at ``since``. A clock that began anew makes it begin anew."""
    return delay if now < since else max(0.0, since + delay - now)
