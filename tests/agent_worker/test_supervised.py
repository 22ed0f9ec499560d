"""An endless loop of the agent outlives every error."""

from __future__ import annotations

import asyncio

import pytest

from agent_worker.supervised import supervised
from tests.hang import HANG_SECONDS


async def test_a_loop_that_failed_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    errors = [ValueError("odd"), KeyError("missing")]
    goes_on = asyncio.Event()

    async def loop() -> None:
        if errors:
            raise errors.pop()
        goes_on.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(supervised("the loop", loop))
    await asyncio.wait_for(goes_on.wait(), HANG_SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [record.message for record in caplog.records] == ["the loop failed and begins again"] * 2
