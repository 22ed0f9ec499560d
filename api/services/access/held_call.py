"""Calls that go on for long, and end soon after the credential behind them is void.

A credential is looked at when a call begins. Connections live for weeks, and may outlive the certificate or the key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any, Generic, TypeVar

from gamekeeper.errors import GamekeeperError, UnauthenticatedError, UnavailableError

Credential = TypeVar("Credential", bound=Hashable)
Call = TypeVar("Call", bound="HeldCall[Any]")
T = TypeVar("T")


class HeldCall(Generic[Credential]):
    """One call. What it does for long is done within ``work`` or ``stream``, which raise UnauthenticatedError as soon
    as the credential is no longer good; or it asks to be told."""

    def __init__(self, credential: Credential, refusal: Callable[[Credential], UnauthenticatedError]) -> None:
        self.credential = credential
        self.over = asyncio.Event()
        self._refusal = refusal
        self._told: list[Callable[[GamekeeperError], None]] = []

    def when_over(self, tell: Callable[[GamekeeperError], None]) -> None:
        """``tell`` is called once, with the reason, as soon as the credential is no longer good."""
        self._told.append(tell)

    def end(self, refusal: GamekeeperError | None = None) -> None:
        """``refusal`` is the reason; by default that the credential is no longer good."""
        if not self.over.is_set():
            self.over.set()
            for tell in self._told:
                tell(refusal or self._refusal(self.credential))

    async def work(self, work: Awaitable[T]) -> T:
        over, working = asyncio.create_task(self.over.wait()), asyncio.ensure_future(work)
        try:
            await asyncio.wait({over, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise self._refusal(self.credential)
            return working.result()
        finally:
            over.cancel()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)  # it may have a generator in its hands

    async def stream(self, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Each item may be asked for by another task, as gRPC does it: so none of them can be the one to cancel."""
        async with aclosing(items):
            while True:
                try:
                    item = await self.work(anext(items))
                except StopAsyncIteration:
                    return
                yield item


class HeldCalls(Generic[Credential, Call]):
    """``watch`` is to be called every second: it ends the calls whose credential ``is_good`` no longer."""

    def __init__(
        self,
        is_good: Callable[[Credential], Awaitable[bool]],
        make: Callable[[Credential], Call],
    ) -> None:
        self._is_good = is_good
        self._make = make
        self._calls: set[Call] = set()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    @contextmanager
    def held(self, credential: Credential) -> Iterator[Call]:
        """A call that is watched while the block goes on."""
        call = self._make(credential)
        self._calls.add(call)
        try:
            yield call
        finally:
            self._calls.discard(call)

    async def watch(self) -> None:
        good: dict[Credential, bool] = {}
        for call in list(self._calls):
            if call.credential not in good:
                with suppress(UnavailableError):  # nobody is thrown out because the database is away
                    good[call.credential] = await self._is_good(call.credential)
            if not good.get(call.credential, True):
                call.end()
