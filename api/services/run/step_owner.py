"""Remembers which steps are a node's own, for what a node tells many times a minute.

A node may name any step. Asking the database at each sample would be a query for each container and second, so answers
are kept for a while, and a node that makes names up asks seldom.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from api.services.node.allowance import Bucket
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.run.step import StepKey

KNOWN_SECONDS = 600.0  # a step that moves to another node does so with a new try, hours apart as a rule
UNKNOWN_SECONDS = 10.0
MAX_KNOWN = 50_000
QUESTIONS_PER_SECOND = 20.0  # of one node
QUESTIONS_AT_ONCE = 2000.0

Named = tuple[str, str, str]


class StepOwners:
    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[Named, tuple[bool, float]] = {}
        self._questions: dict[str, Bucket] = {}

    async def of_node(self, node_id: str, keys: Collection[StepKey]) -> set[StepKey]:
        """Those of the keys whose steps are on the node."""
        if not keys:
            return set()
        unknown = [key for key in keys if self._find(node_id, key) is None]
        if unknown and not self._questions_of(node_id).try_take(len(unknown)):
            async with self._database.read() as session:
                rows = await RunRepository(session).find_steps(unknown)
            for key in unknown:
                row = rows.get((key.run_id, key.step))
                self._keep(node_id, key, row is not None and row.node_id == node_id)
        return {key for key in keys if self._find(node_id, key)}

    def _find(self, node_id: str, key: StepKey) -> bool | None:
        is_own, until = self._known.get((node_id, key.run_id, key.step), (None, 0.0))
        return is_own if self._clock() < until else None

    def _keep(self, node_id: str, key: StepKey, is_own: bool) -> None:
        while len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        seconds = KNOWN_SECONDS if is_own else UNKNOWN_SECONDS
        self._known.pop((node_id, key.run_id, key.step), None)
        self._known[node_id, key.run_id, key.step] = (is_own, self._clock() + seconds)

    def _questions_of(self, node_id: str) -> Bucket:
        if node_id not in self._questions:
            self._questions[node_id] = Bucket(QUESTIONS_PER_SECOND, QUESTIONS_AT_ONCE, self._clock)
        return self._questions[node_id]
