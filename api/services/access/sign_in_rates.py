"""Delays of the sign-in: whoever guesses waits longer with each wrong password, and locks nobody out for good.

Three things are counted: a user together with an address, an address, and a user together with all addresses from which
it has never signed in. So a stranger's guesses delay other strangers, and a user who comes from a known address waits
for nobody. No wait is over a minute, and what is refused meanwhile adds nothing to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from gamekeeper.errors import TooOftenError

LONGEST_SECONDS = 60.0
FORGOTTEN_SECONDS = 3600.0
MAX_KEPT = 20_000
FREE_OF_PAIR, FREE_OF_ADDRESS, FREE_OF_STRANGERS = 5, 30, 20  # wrong ones before the first wait


@dataclass
class _Failures:
    count: int = 0
    until: float = 0.0
    at: float = 0.0


@dataclass(frozen=True)
class Attempt:
    """Counts as wrong until it is known to be right, so that many at once are no way around the count."""

    counted: tuple[tuple[str, int], ...]


class SignInRates:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, _Failures] = {}

    def check_address(self, network: str) -> None:
        """Raises TooOftenError for an address that has to wait."""
        self._check(_of_address(network)[0])

    def begin(self, user: str, network: str, *, is_known: bool) -> Attempt:
        """``user`` is the key of a name, of a user or of nobody. Raises TooOftenError for whoever has to wait."""
        counted = [(f"pair {user} {network}", FREE_OF_PAIR), _of_address(network)]
        if not is_known:
            counted.append((f"strangers {user}", FREE_OF_STRANGERS))
        for name, _ in counted:
            self._check(name)
        for name, free in counted:
            self._count(name, free)
        return Attempt(tuple(counted))

    def undo(self, attempt: Attempt) -> None:
        """It was neither wrong nor whole."""
        for name, free in attempt.counted:
            if (found := self._kept.get(name)) is not None:
                found.count = max(0, found.count - 1)
                found.until = found.until if found.count >= free else 0.0

    def right(self, attempt: Attempt) -> None:
        """Forgets what the user did wrong from there. Others' guesses stay counted."""
        self.undo(attempt)
        self._kept.pop(attempt.counted[0][0], None)

    def _check(self, name: str) -> None:
        found = self._kept.get(name)
        if found is not None and (wait := found.until - self._clock()) > 0:
            raise TooOftenError("too many wrong passwords or codes", after_seconds=wait)

    def _count(self, name: str, free: int) -> None:
        now = self._clock()
        found = self._kept.pop(name, None)
        if found is None or now - found.at > FORGOTTEN_SECONDS:
            found = _Failures()
        found.count, found.at = found.count + 1, now
        if found.count >= free:
            found.until = now + min(LONGEST_SECONDS, 2.0 ** min(found.count - free, 16))
        self._kept[name] = found
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]


def _of_address(network: str) -> tuple[str, int]:
    return f"address {network}", FREE_OF_ADDRESS
