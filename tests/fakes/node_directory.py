"""Generations of nodes in memory. The database can be away, or hang."""

from __future__ import annotations

import asyncio

from gamekeeper.errors import UnavailableError


class FakeNodeDirectory:
    """Satisfies ``NodeDirectory``."""

    def __init__(self, **generations: int) -> None:
        self.generations = {name.replace("_", "-"): number for name, number in generations.items()}
        self.is_away = False
        self.hangs = False
        self.questions = 0

    async def generation(self, node_id: str, at_least: int = 0) -> int | None:
        self.questions += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise UnavailableError("the database is away")
        return self.generations.get(node_id)
