"""Temporal ends each connection after some minutes: what was just asked is asked again, once."""

from __future__ import annotations

import pytest
from temporalio.service import RPCError, RPCStatusCode

from gamekeeper.temporal.goaway import past_goaway


class Asked:
    def __init__(self, *statuses: RPCStatusCode) -> None:
        self.statuses = list(statuses)
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        if self.statuses:
            raise RPCError("operation was canceled", self.statuses.pop(0), b"")
        return "answer"


async def test_a_call_whose_connection_ended_is_made_once_more() -> None:
    asked = Asked(RPCStatusCode.CANCELLED)
    assert await past_goaway(asked) == "answer"
    assert asked.count == 2


@pytest.mark.parametrize(
    ("statuses", "count"),
    [([RPCStatusCode.CANCELLED] * 2, 2), ([RPCStatusCode.UNAVAILABLE], 1), ([RPCStatusCode.DEADLINE_EXCEEDED], 1)],
)
async def test_every_other_refusal_is_told(statuses: list[RPCStatusCode], count: int) -> None:
    asked = Asked(*statuses)
    with pytest.raises(RPCError):
        await past_goaway(asked)
    assert asked.count == count
