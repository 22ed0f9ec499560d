"""Routes of runs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response, status
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from sse_starlette import EventSourceResponse, JSONServerSentEvent

from api.dependencies import NO_NUL, SAFE_ID, CallerDep, Cursor, LastEventId, Limit, PartsDep, RunsDep
from api.needs import Judged, SeenPipelines, needs
from api.problems import SPEC, problems, text
from api.rest.body import Body
from api.rest.items import shown_item, shown_items
from api.rest.yaml_body import YamlRoute
from api.services.label import label_pair
from api.services.run.run import RunService
from gamekeeper.control_plane.intake.submission import Submission, check_one_source
from gamekeeper.db.models import EventRow, RunRow, StepRow
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.language.problem import Problem
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.run_filter import RunFilter
from gamekeeper.domain.run.step import StepState, observed_state
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(prefix="/runs", tags=["runs"], route_class=YamlRoute)

RunId = Annotated[str, Path(max_length=32, pattern=SAFE_ID)]
_HELLO = """\
version: 1
name: hello
steps:
  - name: hello
    container: {image: "debian:12", commands: [echo hello]}
"""
_EXAMPLE: JsonDict = {"yaml": _HELLO, "node": "gpu-01"}


class RunCreate(Body):
    """A pipeline as `yaml` text, as a `spec` object or as the name of a stored one, with what the call gives it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    # Pipelines bring their own list of problems, so the shape of `spec` is not checked twice.
    spec: Any = None
    yaml: str | None = None
    pipeline: str | None = Field(default=None, max_length=63, description="A stored pipeline")
    version: int | None = Field(default=None, ge=1, le=2**31 - 1, description="Of it; the newest by default")
    args: dict[str, Any] = Field(default_factory=dict, max_length=500)
    envs: dict[str, Any] = Field(default_factory=dict, max_length=500)
    node: str | None = Field(default=None, max_length=63, description="For every step that names no node")


class Step(BaseModel):
    """`state` is the workflow's, refined by what the node reports until the step ends."""

    name: str
    type: str
    node: str
    state: StepState
    reason: str | None
    message: str
    try_number: int = Field(serialization_alias="try")
    exit_code: int | None
    trouble: str = Field(description="Of a service that came up: what went wrong since; empty while all is well")
    container: str
    digest: str
    ports: list[str]
    named_ports: dict[str, int] = Field(description="Of a service: the node's port by its name, or else the one inside")
    needs: list[str]
    is_finally: bool = Field(serialization_alias="finally")
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None = Field(description="Until when it waits for its node, an approval or an answer")
    outputs: dict[str, Any]
    cell_of: str | None = Field(description="Of a cell: the step with the matrix")
    matrix: dict[str, Any] = Field(description="Of a cell: its values")
    carried_from: str | None = Field(description="The earlier run that this result is from")
    allow: list[str] = Field(description="Of an approval: who of those with `approve` may answer it; empty for all")
    waiting: str = Field(default="", description="What it waits for; empty while it waits for nothing")

    @classmethod
    def of(cls, row: StepRow) -> Step:
        phase = StepState(row.phase) if row.phase and row.phase_try == row.try_number else None
        state = observed_state(StepState(row.state), phase)
        fields = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        observed = phase is not None and not state.is_final
        fields |= {
            "state": state,
            "node": row.node_id,
            "allow": list(row.approvers),
            "container": row.container_id or (row.phase_container_id if observed else ""),
            "message": row.message or (row.phase_message if observed else ""),
        }
        return cls(**fields)


class RunSummary(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    pipeline: str
    state: RunState
    reason: str | None
    message: str
    waiting: str = Field(default="", description="What it, or its first step that waits, waits for; empty for nothing")
    labels: dict[str, str]
    cancel_reason: str | None
    pipeline_version: int | None = Field(description="Of a stored pipeline")
    rerun_of: str | None
    parent_run: str | None = Field(description="The run whose step this one is")
    parent_step: str | None
    schedule: str | None = Field(description="The schedule that started it")
    concurrency_group: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Run(RunSummary):
    args: dict[str, Any]
    steps: list[Step]


class NewRun(Run):
    warnings: list[Problem] = Field(description="What is right and yet probably not meant")


class RunList(BaseModel):
    items: list[RunSummary]
    next_cursor: str | None = None


class RunPlan(BaseModel):
    """The answer of a dry run: what would be executed."""

    pipeline: ResolvedPipeline
    warnings: list[Problem] = Field(description="What is right and yet probably not meant")


class CancelRequest(Body):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=500)


class RunEvent(BaseModel):
    """A change of state; `step` is empty for the run itself."""

    run_id: str
    step: str
    state: str
    reason: str | None
    message: str
    try_number: int = Field(serialization_alias="try", description="Of a step: its newest try; 0 before the first")
    at: datetime

    @classmethod
    def of(cls, row: EventRow) -> RunEvent:
        state = row.kind.partition(".")[2]
        return cls(
            run_id=row.run,
            step=row.step,
            state=state,
            reason=row.reason or None,
            message=row.message,
            try_number=row.data.get("try", 0),
            at=row.at,
        )


async def shown(runs: RunService, row: RunRow, steps: list[StepRow]) -> Run:
    summary = shown_item(row, RunSummary.model_validate, f"run {row.id}").model_dump()
    waits = await runs.waits_of(row)

    def show(step: StepRow) -> Step:
        return Step.of(step).model_copy(update={"waiting": waits.of_step(step)})

    summary["waiting"] = waits.of_run(row)
    return Run(**summary, args=row.args, steps=shown_items(runs.odd_rows, steps, show, "name"))


def submission_of(body: RunCreate, key: str | None = None, raw: bytes = b"") -> Submission:
    submission = Submission(
        yaml=body.yaml,
        spec=body.spec,
        pipeline=body.pipeline,
        version=body.version,
        args=body.args,
        envs=body.envs,
        node=body.node,
        idempotency_key=key,
        fingerprint=hashlib.sha256(raw).hexdigest(),
    )
    check_one_source(submission)
    return submission


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=NewRun | RunPlan,
    responses={
        200: {
            "model": NewRun | RunPlan,
            "description": "The run that this Idempotency-Key made before, or a dry run's plan",
        }
    }
    | problems(NotFoundError, ConflictError)
    | SPEC,
    dependencies=[
        needs(
            Verb.RUN,
            ObjectKind.PIPELINE,
            also=f'a pipeline that is not stored needs the verb "{Verb.EDIT}" as well',
            judged=Judged.BODY,
        )
    ],
)
async def create_run(
    body: RunCreate,
    request: Request,
    response: Response,
    caller: CallerDep,
    runs: RunsDep,
    parts: PartsDep,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
    dry_run: Annotated[bool, Query(description="Check everything, start nothing")] = False,
    node: Annotated[str | None, Query(max_length=63, pattern=NO_NUL, description="As `node` of the body")] = None,
) -> NewRun | RunPlan:
    """Checks a pipeline and runs it. 422 lists every problem at once; nothing starts while one stands. The body may be
    the file itself, as `application/yaml`. A pipeline that is not stored needs the verb `edit` as well."""
    if node is not None and body.node is None:
        body = body.model_copy(update={"node": node})
    submission = submission_of(body, idempotency_key, await request.body())
    if dry_run:
        response.status_code = status.HTTP_200_OK
        plan = await runs.plan(submission, caller.access)
        return RunPlan(pipeline=plan, warnings=plan.warnings)
    parts.check_room()
    accepted = await runs.submit(submission, caller.access)
    response.status_code = status.HTTP_201_CREATED if accepted.is_new else status.HTTP_200_OK
    response.headers["Location"] = f"/api/v1/runs/{accepted.row.id}"
    run = await shown(runs, accepted.row, accepted.steps)
    return NewRun(**run.model_dump(exclude={"steps"}), steps=run.steps, warnings=accepted.run.pipeline.warnings)


@router.get("", dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE, judged=Judged.LIST)])
async def list_runs(
    runs: RunsDep,
    scope: SeenPipelines,
    state: Annotated[list[RunState] | None, Query(max_length=10)] = None,
    node: Annotated[str | None, Query(max_length=63, pattern=NO_NUL)] = None,
    pipeline: Annotated[str | None, Query(max_length=63, pattern=NO_NUL, description="Pipeline name")] = None,
    schedule: Annotated[str | None, Query(max_length=80, pattern=NO_NUL)] = None,
    parent: Annotated[
        str | None, Query(max_length=32, pattern=NO_NUL, description="The run whose steps they are")
    ] = None,
    group: Annotated[str | None, Query(max_length=200, pattern=NO_NUL, description="Concurrency group")] = None,
    prefix: Annotated[str | None, Query(max_length=32, pattern=SAFE_ID, description="The beginning of the id")] = None,
    label: Annotated[str | None, Query(max_length=500, pattern=NO_NUL, description="`key=value`")] = None,
    waiting: Annotated[bool, Query(description="Those that wait: for a node, a user's answer, or their group")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> RunList:
    """Runs, newest first."""
    wanted = RunFilter(
        states=state or (),
        node=node,
        pipeline=pipeline,
        schedule=schedule,
        parent_run=parent,
        concurrency_group=group,
        id_prefix=prefix,
        label=label_pair(label) if label else None,
        is_waiting=waiting,
    )
    page = await runs.page(wanted, scope, cursor=cursor, limit=limit)
    waits = await runs.waits(page.rows)

    def show(row: RunRow) -> RunSummary:
        return RunSummary.model_validate(row).model_copy(update={"waiting": waits.of_run(row)})

    items = shown_items(runs.odd_rows, page.rows, show)
    return RunList(items=items, next_cursor=page.next_cursor)


@router.get("/{run_id}", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE)])
async def get_run(run_id: RunId, runs: RunsDep) -> Run:
    """One run with its steps."""
    return await shown(runs, *await runs.get(run_id))


@router.post(
    "/{run_id}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def cancel_run(run_id: RunId, runs: RunsDep, body: CancelRequest | None = None) -> Run:
    """Requests the cancel. The run is `canceled` when its containers are gone and its finally steps have run."""
    await runs.cancel(run_id, (body.reason if body else "") or "canceled by a user")
    return await shown(runs, *await runs.get(run_id))


@router.get(
    "/{run_id}/events",
    response_class=EventSourceResponse,
    responses=problems(NotFoundError) | text("text/event-stream", "Events of kind `run` and `step`, at last `end`"),
    dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE)],
)
async def follow_run_events(run_id: RunId, runs: RunsDep, last_event_id: LastEventId) -> EventSourceResponse:
    """Changes of state as server-sent events, from `Last-Event-ID` on, until the run has ended."""
    await runs.get(run_id)

    async def stream() -> AsyncIterator[JSONServerSentEvent]:
        async for batch in runs.events(run_id, last_event_id):
            for row in batch.rows:
                kind = "step" if row.step else "run"
                yield JSONServerSentEvent(
                    RunEvent.of(row).model_dump(mode="json", by_alias=True), event=kind, id=str(row.seq)
                )
        yield JSONServerSentEvent({}, event="end")

    return EventSourceResponse(stream())
