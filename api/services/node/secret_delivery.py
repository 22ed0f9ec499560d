"""Gives the values of secrets to nodes: to the one whose open step, or whose instance's revision, names them.

A node is somebody else's machine, and may have been taken over. So it is believed in nothing but its certificate: what
a container names stands in the read model, and what it may have is looked at anew at each question. A step that has
not begun, as one that waits for an approval, gets nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.engine import Database
from gamekeeper.db.models import InstanceRow, StepRow
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.container.container_key import ContainerKey, InstanceKey, StepKey
from gamekeeper.domain.instance.state import Desired
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepState
from gamekeeper.domain.secret.use import SecretUse, UserKind
from gamekeeper.errors import ForbiddenError, LaterError, NotFoundError, TooLargeError
from gamekeeper.ports.secret_values import SecretValues

NOT_WRITTEN_SECONDS = 0.2  # a workflow's writes of what begins together are told together
MAX_BYTES = 1024 * 1024  # of one answer
_BEGUN = frozenset({StepState.WAITING_NODE, StepState.STARTING, StepState.PULLING, StepState.RUNNING})


class SecretDelivery:
    def __init__(self, database: Database, values: SecretValues) -> None:
        self._database = database
        self._values = values

    async def give(self, node_id: str, key: ContainerKey, names: Sequence[str]) -> Mapping[str, bytes]:
        """All of the values, or none. Raises NotFoundError and ForbiddenError that name the secret or the container,
        ConflictError for a secret that can't be opened, LaterError for a step whose beginning is not written yet, and
        TooLargeError."""
        async with self._database.read() as session:
            if isinstance(key, InstanceKey):
                use, named = await _of_revision(session, node_id, key)
            else:
                use, named = await _of_step(session, node_id, key)
        if strange := sorted(set(names) - named):
            raise ForbiddenError(f'{key} does not name the secret "{strange[0]}"')
        values = await self._values.values(names, use)
        if (size := sum(map(len, values.values()))) > MAX_BYTES:
            raise TooLargeError(f"the secrets of {key} have {size:,} bytes in all, at most {MAX_BYTES:,} are given")
        return values


async def _of_step(session: AsyncSession, node_id: str, key: StepKey) -> tuple[SecretUse, set[str]]:
    runs = RunRepository(session)
    run, row = await runs.find_whole(key.run_id), (await runs.find_steps([key])).get((key.run_id, key.step))
    if run is None or (row is not None and row.node_id != node_id) or RunState(run.state).is_final:
        raise ForbiddenError(f"{key} is no open step of node {node_id}")
    _check_begun(row, key)
    labels = await _labels(session, node_id)
    use = SecretUse(UserKind.RUN_STEP, run.pipeline, node=node_id, node_labels=labels, run=run.id, step=key.step)
    step = row.cell_of or row.name if row is not None else key.step
    return use, _named_by_step(run.resolved, step)


def _check_begun(row: StepRow | None, key: StepKey) -> None:
    state = StepState(row.state) if row is not None else StepState.PENDING
    tries = row.try_number if row is not None else 0
    if key.try_ < tries or (key.try_ == tries and state.is_final):
        raise ForbiddenError(f"{key} is over")
    if key.try_ > tries or state not in _BEGUN:
        raise LaterError(f"{key} has not begun, as far as is known here", after_seconds=NOT_WRITTEN_SECONDS)


def _named_by_step(resolved: Mapping[str, Any], name: str) -> set[str]:
    steps = [*(resolved.get("steps") or []), *(resolved.get("finally_") or [])]
    return {secret for step in steps if step.get("name") == name for secret in named_by(step.get("container") or {})}


async def _of_revision(session: AsyncSession, node_id: str, key: InstanceKey) -> tuple[SecretUse, set[str]]:
    instances = InstanceRepository(session)
    row = await instances.find_whatever(key.instance)
    if row is None or row.node_id != node_id or not _is_open(row, key.revision):
        raise ForbiddenError(f"{key} is no revision that node {node_id} is to keep up")
    revision = await instances.find_revision(key.instance, key.revision)
    if revision is None:
        raise NotFoundError(f"{key} is not known here")
    use = SecretUse(
        UserKind.INSTANCE,
        row.pipeline,
        instance=row.id,
        node=node_id,
        node_labels=await _labels(session, node_id),
    )
    return use, named_by(revision.spec.get("container") or {})


def _is_open(row: InstanceRow, revision: int) -> bool:
    """True for the revision that is ordered, and for the one that runs until that is ready, or in its place."""
    if row.deleted_at is not None or row.desired != Desired.RUNNING:
        return False
    return revision in (row.revision, row.running_revision)


async def _labels(session: AsyncSession, node_id: str) -> Mapping[str, str]:
    row = await NodeRepository(session).find(node_id)
    return dict(row.labels) if row is not None else {}


def named_by(container: Mapping[str, Any]) -> set[str]:
    """The secrets that the settings of a container name, that of its pull as well."""
    pull = container.get("pull") or {}
    return {item["secret"] for item in [*(container.get("secrets") or []), *([pull] if pull else [])]}
