"""Answers that end with the key behind them, over a small app."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from api.dependencies import HOLD
from api.held_requests import HeldRequests
from api.services.access.caller import CallerCall
from api.services.access.held_call import HeldCalls
from gamekeeper.domain.access.caller import Caller, CallerKind
from gamekeeper.domain.access.role import Role
from tests.hang import HANG_SECONDS

KEY = Caller(CallerKind.KEY, "0f9a33c1", "ci", Role.ADMIN, "", None)
Message = MutableMapping[str, Any]


class Around:
    """Held requests over an app that says what it is asked to, and then waits until it is left."""

    def __init__(self, *said: Message) -> None:
        self.said, self.sent = said, list[Message]()
        self.waits = asyncio.Event()
        self.is_left = False
        self.calls = HeldCalls[Caller, CallerCall](self._is_good, CallerCall)
        self.held = HeldRequests(self._app)

    async def _is_good(self, key: Caller) -> bool:
        return False

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if HOLD in scope:
            scope[HOLD](self.calls.held(KEY))
        for message in self.said:
            await send(message)
        self.waits.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.is_left = True

    async def _keep(self, message: Message) -> None:
        self.sent.append(message)

    async def _nothing(self) -> Message:
        await asyncio.Event().wait()
        return {}

    def ask(self, kind: str = "http", method: str = "GET") -> asyncio.Task[None]:
        return asyncio.create_task(self.held({"type": kind, "method": method}, self._nothing, self._keep))

    async def until_over(self, asking: asyncio.Task[None]) -> None:
        async with asyncio.timeout(HANG_SECONDS):
            await self.waits.wait()
            await self.calls.watch()
            await asking
        assert self.is_left
        assert not self.calls


def begun(media_type: bytes) -> list[Message]:
    headers = [(b"content-type", media_type)]
    return [
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": b"a", "more_body": True},
    ]


async def test_an_answer_that_has_not_begun_is_a_refusal() -> None:
    around = Around()
    await around.until_over(around.ask())
    assert around.sent[0]["status"] == 401
    assert b'the API key \\"ci\\" was revoked or ran out' in around.sent[1]["body"]


async def test_events_end_with_one_that_says_why() -> None:
    around = Around(*begun(b"text/event-stream; charset=utf-8"))
    await around.until_over(around.ask())
    assert around.sent[-1]["body"].startswith(b"event: refused\r\ndata: {")
    assert not around.sent[-1]["more_body"]


async def test_a_text_does_not_look_whole() -> None:
    around = Around(*begun(b"text/plain"))
    await around.until_over(around.ask())
    assert around.sent == list(around.said)


@pytest.mark.parametrize("said", [[], [{"type": "websocket.accept"}]])
async def test_a_console_is_closed_with_a_code(said: list[Message]) -> None:
    around = Around(*said)
    await around.until_over(around.ask("websocket"))
    assert [message["type"] for message in around.sent] == ["websocket.accept", "websocket.close"]
    assert around.sent[-1]["code"] == 4401


async def test_what_is_whole_already_gets_no_more() -> None:
    whole = {"type": "http.response.body", "body": b"b", "more_body": False}
    around = Around(*begun(b"text/event-stream"), whole)
    await around.until_over(around.ask())
    assert around.sent[-1] == whole


async def test_what_writes_is_left_to_its_end() -> None:
    around = Around()
    asking = around.ask(method="POST")
    await asyncio.wait_for(around.waits.wait(), HANG_SECONDS)
    assert not around.calls
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_client_that_goes_takes_the_work_with_it() -> None:
    around = Around()
    asking = around.ask()
    await asyncio.wait_for(around.waits.wait(), HANG_SECONDS)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert around.is_left
    assert not around.calls
