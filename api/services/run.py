"""Runs: accepting, starting, cancelling and reading them.

An accepted run is in the database before Temporal hears of it, and the row is the outbox of its own start: what was
answered with 201 starts, whatever dies in between (see ``reconcile.py``).
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from api.services.admission import admit
from api.services.dispatch import RunDispatcher
from api.services.event import EventBatch, EventService
from api.services.pipeline import PipelineService
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import RunRow, StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.event import EventFilter
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.event import Event
from gamekeeper.domain.node import NodeView
from gamekeeper.domain.resolve import Call, resolve
from gamekeeper.domain.run import ResolvedPipeline, RunInput, RunState
from gamekeeper.domain.source import Document, parse_text
from gamekeeper.domain.step import StepStatus
from gamekeeper.errors import ConflictError, InvalidError
from gamekeeper.keys import hash_key


@dataclass(frozen=True)
class Submission:
    """What a caller sends. One of ``yaml``, ``spec`` and ``pipeline`` (a stored one, with ``version`` or the newest);
    ``fingerprint`` identifies the request as a whole."""

    yaml: str | None = None
    spec: Any = None
    pipeline: str | None = None
    version: int | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    envs: Mapping[str, Any] = field(default_factory=dict)
    node: str | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""

    def document(self) -> Document:
        return parse_text(self.yaml) if self.yaml is not None else Document(self.spec)

    def source(self) -> str:
        """The pipeline as text, which JSON is too."""
        return self.yaml if self.yaml is not None else json.dumps(self.spec)

    def call(self) -> dict[str, Any]:
        return {"args": dict(self.args), "envs": dict(self.envs), "node": self.node}


@dataclass(frozen=True)
class Rerun:
    """Of which run a new one is, and the steps that it takes over."""

    of: str
    choose: Callable[[ResolvedPipeline], list[StepStatus]]


def new_run_id() -> str:
    """Sorts by time, fits a container's name: seconds in hexadecimal, then 32 random bits."""
    return f"{int(time.time()):08x}{secrets.token_hex(4)}"


class RunService:
    def __init__(
        self,
        database: Database,
        dispatcher: RunDispatcher,
        events: EventService,
        pipelines: PipelineService,
        node_wait_seconds: float,
    ) -> None:
        self._database = database
        self._pipelines = pipelines
        self._dispatcher = dispatcher
        self._events = events
        self._node_wait = node_wait_seconds

    async def plan(self, submission: Submission, run_id: str = "") -> tuple[ResolvedPipeline, dict[str, NodeView]]:
        """What would run, and what is known of its nodes. Raises SpecError with every problem."""
        submission = await self._stored(submission)
        document = await asyncio.to_thread(submission.document)
        call = Call(submission.args, submission.envs, submission.node, run_id)
        resolved = await asyncio.to_thread(resolve, document, call)
        resolved.node_wait = self._node_wait
        async with self._database.read() as session:
            nodes = NodeRepository(session)
            views = admit(resolved, await nodes.find_many(resolved.nodes()), await nodes.ids(), document)
        return resolved, views

    async def _stored(self, submission: Submission) -> Submission:
        """With the text of a stored pipeline, and the version that it is pinned to."""
        if submission.pipeline is None or submission.yaml is not None:
            return submission
        row = await self._pipelines.get(submission.pipeline, submission.version)
        return replace(submission, yaml=row.source, version=row.version)

    async def submit(self, submission: Submission, rerun: Rerun | None = None) -> tuple[RunRow, bool]:
        """The accepted run, and whether it is new: the same idempotency key gives the same run."""
        known = await self._known(submission)
        if known is not None:
            return known, False
        submission = await self._stored(submission)
        run_id = new_run_id()
        resolved, views = await self.plan(submission, run_id)
        carried = rerun.choose(resolved) if rerun else []
        row, steps = _rows(run_id, resolved, submission)
        row.rerun_of = rerun.of if rerun else None
        row.carried = [status.model_dump(mode="json", by_alias=True) for status in carried]
        try:
            async with self._database.write() as session:
                await RunRepository(session).add(row, steps)
        except ConflictError:
            known = await self._known(submission)  # two equal requests at once: one row won
            if known is None:
                raise
            return known, False
        await self._dispatcher.start(RunInput(run_id=run_id, pipeline=resolved, nodes=views, carried=carried))
        return row, True

    async def _known(self, submission: Submission) -> RunRow | None:
        if submission.idempotency_key is None:
            return None
        async with self._database.read() as session:
            row = await RunRepository(session).by_idempotency_key(submission.idempotency_key)
        if row is not None and row.request_hash != submission.fingerprint:
            raise ConflictError(
                f'Idempotency-Key "{submission.idempotency_key}" belongs to run {row.id} of another request',
                hint="use a new key for a new request",
            )
        return row

    async def get(self, run_id: str) -> tuple[RunRow, list[StepRow]]:
        async with self._database.read() as session:
            runs = RunRepository(session)
            return await runs.get(run_id), await runs.steps(run_id)

    async def get_step(self, run_id: str, name: str) -> StepRow:
        async with self._database.read() as session:
            runs = RunRepository(session)
            await runs.get(run_id)
            return await runs.get_step(run_id, name)

    async def page(
        self, *, state: str | None, node: str | None, pipeline: str | None, cursor: str | None, limit: int
    ) -> Page[RunRow]:
        async with self._database.read() as session:
            return await RunRepository(session).page(
                state=state, node=node, pipeline=pipeline, cursor=cursor, limit=limit
            )

    async def cancel(self, run_id: str, reason: str) -> RunRow:
        """Requests the cancel; the request is kept, so it reaches the workflow even when Temporal is away now."""
        async with self._database.write() as session:
            row = await RunRepository(session).get(run_id)
            if RunState(row.state).is_final:
                raise ConflictError(f"run {run_id} has ended already: {row.state}")
            if row.cancel_reason is None:
                row.cancel_reason = reason
                record(session, Event(kind="run.cancel_requested", run=run_id, message=reason))
        await self._dispatcher.cancel(run_id, reason)
        return row

    def events(self, run_id: str, after_seq: int) -> AsyncIterator[EventBatch]:
        """Changes of state after ``after_seq``, then new ones as they come, until the run has ended."""

        async def has_ended() -> bool:
            async with self._database.read() as session:
                return RunState((await RunRepository(session).get(run_id)).state).is_final

        return self._events.follow(after_seq, EventFilter(kinds=("run", "step"), run=run_id), has_ended)

    async def count_by_state(self) -> dict[str, int]:
        async with self._database.read() as session:
            return await RunRepository(session).count_by_state()


def _rows(run_id: str, resolved: ResolvedPipeline, submission: Submission) -> tuple[RunRow, list[StepRow]]:
    finals = {step.name for step in resolved.finally_}
    steps = [
        StepRow(
            run_id=run_id,
            name=step.name,
            position=index,
            type=step.type.value,
            node_id=step.node,
            needs=step.needs,
            is_finally=step.name in finals,
        )
        for index, step in enumerate(resolved.all_steps())
    ]
    row = RunRow(
        id=run_id,
        pipeline=resolved.name,
        labels=resolved.labels,
        args=dict(resolved.args),
        source=submission.source(),
        call=submission.call(),
        pipeline_version=submission.version,
        resolved=resolved.model_dump(mode="json", exclude_unset=True),
        idempotency_key=submission.idempotency_key,
        request_hash=submission.fingerprint,
        created_at=utc_now(),
    )
    return row, steps


def fingerprint(body: bytes) -> str:
    return hash_key(body.decode(errors="replace"))


def check_one_source(submission: Submission) -> None:
    """Raises InvalidError unless exactly one of the three ways to give a pipeline is used."""
    given = [source for source in (submission.yaml, submission.spec, submission.pipeline) if source is not None]
    if len(given) != 1:
        raise InvalidError(
            'give the pipeline as one of "yaml" (text), "spec" (an object) and "pipeline" (a stored one)'
        )
    if submission.version is not None and submission.pipeline is None:
        raise InvalidError('"version" is of a stored pipeline', hint='give "pipeline" too')
