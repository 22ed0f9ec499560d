"""Passwords are hashed beside the event loop, few at once: each hash costs memory and a tenth of a second of CPU.

Whoever floods the sign-in has to wait, and holds up nothing but other strangers: an address has a few places in the
queue, and users who come from where they came before have places of their own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from gamekeeper.errors import TooOftenError
from gamekeeper.passwords import hash_password, is_password, warm

T = TypeVar("T")

WORKERS = 2
PLACES, PLACES_OF_ONE = 32, 4
PLACES_OF_KNOWN = 32  # beside the others


class PasswordHashing:
    """``network`` is whence somebody asks, as ``network_of`` names it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="passwords")
        self._asked: Counter[str] = Counter()

    async def is_right(self, password: str, password_hash: str, network: str, *, is_known: bool = False) -> bool:
        """Raises TooOftenError where too many ask."""
        return await self._work(network, is_known, is_password, password, password_hash)

    async def hash(self, password: str, network: str = "") -> str:
        """Raises TooOftenError where too many ask."""
        return await self._work(network, True, hash_password, password)

    async def warm(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, warm)

    async def _work(self, network: str, is_known: bool, work: Callable[..., T], *words: Any) -> T:
        places = PLACES + PLACES_OF_KNOWN if is_known else PLACES
        if self._asked.total() >= places or self._asked[network] >= PLACES_OF_ONE:
            raise TooOftenError("too many sign in at once", after_seconds=2.0)
        self._asked[network] += 1
        working = asyncio.get_running_loop().run_in_executor(self._pool, work, *words)
        working.add_done_callback(lambda _: self._leave(network))
        return await asyncio.shield(working)  # a caller who has gone leaves its place when the thread is free

    def _leave(self, network: str) -> None:
        self._asked[network] -= 1
        if not self._asked[network]:
            del self._asked[network]
