"""Routes that act on a run: answers to what it asks, a pause, the end of one step, a rerun."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response, status
from pydantic import ConfigDict, Field

from api.dependencies import CallerDep, PartsDep, RerunsDep, RunControlDep, RunsDep
from api.needs import needs
from api.problems import SPEC, problems
from api.rest.body import Body
from api.rest.v1.log import StepName
from api.rest.v1.run import CancelRequest, Run, RunId, shown
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.run.control import HoldAction
from gamekeeper.domain.run.rerun import FAILED
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(prefix="/runs", tags=["runs"])


class ApprovalRequest(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"approved": True, "comment": "go"}]})

    approved: bool
    comment: str = Field(default="", max_length=500)


class HoldRequest(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"action": "retry"}]})

    action: HoldAction


class RerunRequest(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"from": "failed", "args": {}}]})

    start: str = Field(default=FAILED, alias="from", max_length=63, description="failed, all, or a step's name")
    args: dict[str, Any] = Field(default_factory=dict, max_length=500, description="Instead of those of the old run")


@router.post(
    "/{run_id}/steps/{step}/approval",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.APPROVE, ObjectKind.PIPELINE)],
)
async def answer_approval(
    run_id: RunId, step: StepName, body: ApprovalRequest, caller: CallerDep, control: RunControlDep, runs: RunsDep
) -> Run:
    """Approves or rejects. 409 for a step that does not ask, or was answered; 403 for a caller whom its `allow` does
    not name, in words that say who may."""
    await control.answer_approval(run_id, step, approved=body.approved, comment=body.comment, access=caller.access)
    return await shown(runs, *await runs.get(run_id))


@router.post(
    "/{run_id}/steps/{step}/hold",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def answer_hold(run_id: RunId, step: StepName, body: HoldRequest, control: RunControlDep, runs: RunsDep) -> Run:
    """Decides what becomes of a held step: one more try, an end as if it had been skipped, or its failure."""
    await control.answer_hold(run_id, step, body.action)
    return await shown(runs, *await runs.get(run_id))


@router.post(
    "/{run_id}/steps/{step}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def cancel_step(
    run_id: RunId, step: StepName, control: RunControlDep, runs: RunsDep, body: CancelRequest | None = None
) -> Run:
    """Ends one step, or all cells of a matrix; the run goes on as after a failure of it."""
    await control.cancel_step(run_id, step, body.reason if body else "")
    return await shown(runs, *await runs.get(run_id))


@router.post(
    "/{run_id}/pause",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def pause_run(run_id: RunId, control: RunControlDep, runs: RunsDep) -> Run:
    """No further step starts until `resume`. What runs goes on, and so do time limits."""
    await control.set_paused(run_id, True)
    return await shown(runs, *await runs.get(run_id))


@router.post(
    "/{run_id}/resume",
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def resume_run(run_id: RunId, control: RunControlDep, runs: RunsDep) -> Run:
    """Steps of a paused run start again."""
    await control.set_paused(run_id, False)
    return await shown(runs, *await runs.get(run_id))


@router.post(
    "/{run_id}/rerun",
    status_code=status.HTTP_201_CREATED,
    responses=problems(NotFoundError, ConflictError) | SPEC,
    dependencies=[needs(Verb.RUN, ObjectKind.PIPELINE)],
)
async def rerun_run(
    run_id: RunId,
    request: Request,
    response: Response,
    caller: CallerDep,
    reruns: RerunsDep,
    runs: RunsDep,
    parts: PartsDep,
    body: RerunRequest | None = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> Run:
    """A new run of an ended one. What ended well before the steps that run again is carried over, files in
    /workspace are not."""
    parts.check_room()
    asked = body or RerunRequest()
    fingerprint = hashlib.sha256(run_id.encode() + await request.body()).hexdigest()
    accepted = await reruns.rerun(run_id, asked.start, asked.args, (idempotency_key, fingerprint), caller.access)
    response.headers["Location"] = f"/api/v1/runs/{accepted.row.id}"
    return await shown(runs, accepted.row, accepted.steps)
