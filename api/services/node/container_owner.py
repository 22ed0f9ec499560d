"""Remembers which steps and instances are a node's own, for what a node tells many times a minute.

A node may name any of them. Asking the database at each sample would be a query for each container and second, so
answers are kept for a while, and a node that makes names up asks seldom.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.bucket import Bucket
from gamekeeper.db.engine import Database
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey

KNOWN_SECONDS = 600.0  # a step that moves to another node does so with a new try, hours apart as a rule
UNKNOWN_SECONDS = 10.0
MAX_KNOWN = 50_000
QUESTIONS_PER_SECOND = 20.0  # of one node
QUESTIONS_AT_ONCE = 2000.0

Named = tuple[str, str]


def owner_of(key: ContainerKey) -> str:
    """The step or the instance of a container, whichever try or revision it is."""
    return f"instance:{key.instance}" if isinstance(key, InstanceKey) else f"step:{key.run_id}/{key.step}"


def _why_not(key: ContainerKey, node_id: str, *, exists: bool) -> str:
    if exists:
        return f"{owner_of(key)} is not on node {node_id}"
    if isinstance(key, InstanceKey):
        return f'there is no revision {key.revision} of an instance "{key.instance}"'
    return f'run "{key.run_id}" has no step "{key.step}"'


async def _nodes(session: AsyncSession, keys: Collection[ContainerKey]) -> dict[ContainerKey, str]:
    """The nodes of the owners that there are: one question for all steps, and one for all instances."""
    steps = [key for key in keys if isinstance(key, StepKey)]
    instances = {key for key in keys if isinstance(key, InstanceKey)}
    of_steps = await RunRepository(session).nodes_of_named(steps)
    of_instances = await InstanceRepository(session).nodes_of({key.instance for key in instances})
    found: dict[ContainerKey, str] = {key: node for key in steps if (node := of_steps.get((key.run_id, key.step)))}
    return found | {key: node for key in instances if (node := of_instances.get(key.instance))}


class ContainerOwners:
    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[Named, tuple[bool, float]] = {}
        self._questions: dict[str, Bucket] = {}

    async def of_node(self, node_id: str, keys: Collection[ContainerKey]) -> set[ContainerKey]:
        """Those of the keys whose steps or instances are on the node."""
        if not keys:
            return set()
        unknown = [key for key in keys if self._find(node_id, key) is None]
        if unknown and not self._questions_of(node_id).try_take(len(unknown)):
            own = await self._ask(node_id, unknown)
            for key in unknown:
                self._keep(node_id, key, key in own)
        return {key for key in keys if self._find(node_id, key)}

    async def refusals(self, node_id: str, keys: Collection[ContainerKey]) -> dict[ContainerKey, str]:
        """The reasons against those of the keys whose owners are not on the node, or are none.

        Asks the database each time, once for all of them: a wrong answer would cost a log.
        """
        instances = [key for key in keys if isinstance(key, InstanceKey)]
        async with self._database.read() as session:
            nodes = await _nodes(session, keys)
            made = await InstanceRepository(session).made_revisions(instances) if instances else set()
        strange = {key: _why_not(key, node_id, exists=key in nodes) for key in keys if nodes.get(key) != node_id}
        return strange | {
            key: _why_not(key, node_id, exists=False)
            for key in instances
            if key not in strange and (key.instance, key.revision) not in made
        }

    async def _ask(self, node_id: str, keys: Collection[ContainerKey]) -> set[ContainerKey]:
        async with self._database.read() as session:
            nodes = await _nodes(session, keys)
        return {key for key, node in nodes.items() if node == node_id}

    def _find(self, node_id: str, key: ContainerKey) -> bool | None:
        is_own, until = self._known.get((node_id, owner_of(key)), (None, 0.0))
        return is_own if self._clock() < until else None

    def _keep(self, node_id: str, key: ContainerKey, is_own: bool) -> None:
        while len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        seconds = KNOWN_SECONDS if is_own else UNKNOWN_SECONDS
        self._known.pop((node_id, owner_of(key)), None)
        self._known[node_id, owner_of(key)] = (is_own, self._clock() + seconds)

    def _questions_of(self, node_id: str) -> Bucket:
        if node_id not in self._questions:
            self._questions[node_id] = Bucket(QUESTIONS_PER_SECOND, QUESTIONS_AT_ONCE, self._clock)
        return self._questions[node_id]
