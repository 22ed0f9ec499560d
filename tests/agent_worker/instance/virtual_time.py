"""An event loop whose time passes only when nothing is left to do at once: hours of waits take no time.

Calls for a thread are made at once, in the loop's own. So the same moves always come to the same end.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
MOST_TURNS = 5000  # without any time


class _Selector(selectors.DefaultSelector):
    """Passes the time that the loop would wait for."""

    now = 0.0
    at_once = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits, and for nothing that will ever come"
        self.at_once = 0 if timeout else self.at_once + 1
        assert self.at_once < MOST_TURNS, "somebody goes round and round, and no time passes"
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.run_until_complete(work)

    def take_turns(self, count: int) -> None:
        """Lets everybody go on by so many turns of the loop, and no time pass."""
        self.run(_turns(count))


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
