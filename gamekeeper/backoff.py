"""Full-jitter exponential backoff: the one place that draws the randomness of periodic calls.

Full jitter (uniform between zero and the exponential bound) keeps a thousand agents that lost the same server
from coming back in one instant.
"""

import random
from dataclasses import dataclass

MAXIMUM_SECONDS = 30.0


@dataclass
class Backoff:
    """Delays in seconds for consecutive failures: uniform in ``[0, min(maximum, initial * 2**failures)]``."""

    initial: float = 0.2
    maximum: float = MAXIMUM_SECONDS
    failures: int = 0

    def next_delay(self) -> float:
        bound = min(self.maximum, self.initial * 2 ** min(self.failures, 32))
        self.failures += 1
        return random.uniform(0, bound)

    def reset(self) -> None:
        self.failures = 0


def jittered(seconds: float, spread: float = 0.1) -> float:
    """``seconds`` moved by up to ``spread`` of itself, so that periodic calls of many processes drift apart."""
    return seconds * random.uniform(1 - spread, 1 + spread)
