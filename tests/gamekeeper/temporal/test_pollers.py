"""Workers are there while polls go on, whatever the clocks of Temporal and of this machine say."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from gamekeeper.temporal import pollers
from gamekeeper.temporal.pollers import SILENCE_SECONDS, Pollers
from tests.hang import HANG_SECONDS


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


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address to which no connection comes about, and none is refused: its queue is full."""
    with ExitStack() as opened, socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_the_question_ends_where_no_connection_comes_about(
    black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call's own limit does not count that time: an agent whose packets vanished told no trouble for minutes."""
    monkeypatch.setattr(pollers, "CALL_TIMEOUT", timedelta(seconds=0.5))
    client = await Client.connect(black_hole, lazy=True)
    async with asyncio.timeout(HANG_SECONDS):
        with pytest.raises(RPCError) as caught:
            await Pollers("queue").ask(client)
    assert caught.value.status is RPCStatusCode.DEADLINE_EXCEEDED
