"""Workers are there while polls go on, whatever the clocks of Temporal and of this machine say."""

from __future__ import annotations

import pytest

from gamekeeper.temporal.pollers import SILENCE_SECONDS, Pollers


@pytest.mark.parametrize(
    ("polls", "is_well"),
    [
        ([(0.0, None)], False),
        ([(0.0, 5)], True),
        ([(0.0, 5), (SILENCE_SECONDS - 1, 5)], True),
        ([(0.0, 5), (SILENCE_SECONDS + 1, 5)], False),
        ([(0.0, 5), (SILENCE_SECONDS + 1, 6)], True),
        ([(0.0, 5), (9999.0, 4)], True),  # the newest poller has gone, and another one is there
        ([(0.0, 5), (9999.0, 6), (9999.0 + SILENCE_SECONDS + 1, 6)], False),
    ],
)
def test_judge(polls: list[tuple[float, int | None]], is_well: bool) -> None:
    times = iter([at for at, _ in polls])
    pollers = Pollers("queue", lambda: next(times))
    said = [pollers.judge(newest) for _, newest in polls]
    assert (said[-1] == "") is is_well, said
