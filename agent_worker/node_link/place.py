"""The node's place among agents with one identity (a copied disk): only one of them takes the node's steps.

Temporal hands a step to whoever asks for it, so an agent that is not let in must not ask. One that never heard of
another goes on without a word from the server: work does not wait for an api that is away.
"""

from __future__ import annotations

import asyncio


class Place:
    """Told of the outcome of each try to open a session."""

    def __init__(self) -> None:
        self._ours = asyncio.Event()
        self._taken = asyncio.Event()

    def welcomed(self) -> None:
        self._taken.clear()
        self._ours.set()

    def unanswered(self) -> None:
        """The server is away, or has another reason: what it said last of the place stands."""
        if not self._taken.is_set():
            self._ours.set()

    def refused(self) -> None:
        """The server says that another agent holds the node."""
        self._ours.clear()
        self._taken.set()

    async def until_ours(self) -> None:
        await self._ours.wait()

    async def until_taken(self) -> None:
        await self._taken.wait()
