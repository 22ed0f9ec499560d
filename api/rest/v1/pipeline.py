"""Routes of pipelines: checking one, storing versions, and the language's JSON Schema."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response, status
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import SAFE_ID, CallerDep, Cursor, Limit, PipelinesDep, RunsDep, SchedulesDep
from api.needs import Judged, SeenPipelines, needs, needs_a_key
from api.problems import SPEC, problems
from api.rest.body import Body
from api.rest.v1.run import RunCreate, submission_of
from api.rest.yaml_body import YamlRoute
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.language.key_docs import json_schema
from gamekeeper.domain.language.problem import Problem
from gamekeeper.errors import ConflictError, InvalidError, NotFoundError, SpecError

router = APIRouter(route_class=YamlRoute, tags=["pipelines"])

PipelineName = Annotated[str, Path(max_length=63, pattern=SAFE_ID)]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


class Validation(BaseModel):
    valid: bool
    problems: list[Problem]
    warnings: list[Problem] = Field(description="What is right and yet probably not meant")


class PipelineCreate(Body):
    """One of `yaml` and `spec`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"yaml": "name: hello\nsteps: [{name: a, container: {image: b}}]\n"}]},
    )

    yaml: str | None = None
    spec: Any = None


class PipelineSummary(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    version: int
    description: str
    created_by: str
    created_at: datetime


class StoredPipeline(PipelineSummary):
    source: str = Field(description="As it was given")


class PushedPipeline(StoredPipeline):
    warnings: list[Problem] = Field(description="What is right and yet probably not meant")


class PipelineList(BaseModel):
    items: list[PipelineSummary]
    next_cursor: str | None = None


@router.post(
    "/pipelines",
    status_code=status.HTTP_201_CREATED,
    responses={200: {"model": StoredPipeline, "description": "The text equals the newest version"}}
    | problems(ConflictError)
    | SPEC,
    dependencies=[needs(Verb.EDIT, ObjectKind.PIPELINE, judged=Judged.BODY)],
)
async def push_pipeline(
    body: PipelineCreate, response: Response, caller: CallerDep, pipelines: PipelinesDep
) -> PushedPipeline:
    """Stores a pipeline as the next version of its name. 422 lists every problem at once. The body may be the file
    itself, as `application/yaml`."""
    if (body.yaml is None) == (body.spec is None):
        raise InvalidError('give the pipeline as either "yaml" (text) or "spec" (an object)')
    row, is_new, warnings = await pipelines.push(
        body.yaml if body.yaml is not None else json.dumps(body.spec, indent=2), caller.access
    )
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    response.headers["Location"] = f"/api/v1/pipelines/{row.name}/versions/{row.version}"
    return PushedPipeline(**StoredPipeline.model_validate(row).model_dump(), warnings=warnings)


@router.get("/pipelines", dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE, judged=Judged.LIST)])
async def list_pipelines(
    pipelines: PipelinesDep, scope: SeenPipelines, cursor: Cursor = None, limit: Limit = 50
) -> PipelineList:
    """The newest version of each, by name."""
    page = await pipelines.page(scope, cursor, limit)
    return PipelineList(items=[PipelineSummary.model_validate(row) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/pipelines/{name}", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE)])
async def get_pipeline(name: PipelineName, pipelines: PipelinesDep) -> StoredPipeline:
    """The newest version."""
    return StoredPipeline.model_validate(await pipelines.get(name))


@router.delete(
    "/pipelines/{name}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError),
    dependencies=[needs(Verb.EDIT, ObjectKind.PIPELINE)],
)
async def delete_pipeline(name: PipelineName, pipelines: PipelinesDep, schedules: SchedulesDep) -> None:
    """All its versions. Runs of it go on; a pipeline that is stored again under the name goes on counting. 409 while
    schedules start it."""
    await schedules.check_none_of(name)
    await pipelines.delete(name)


@router.get(
    "/pipelines/{name}/versions", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE)]
)
async def list_pipeline_versions(
    name: PipelineName, pipelines: PipelinesDep, cursor: Cursor = None, limit: Limit = 50
) -> PipelineList:
    """Newest first."""
    page = await pipelines.versions(name, cursor, limit)
    return PipelineList(items=[PipelineSummary.model_validate(row) for row in page.rows], next_cursor=page.next_cursor)


@router.get(
    "/pipelines/{name}/versions/{version}",
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE)],
)
async def get_pipeline_version(name: PipelineName, version: Version, pipelines: PipelinesDep) -> StoredPipeline:
    """One version."""
    return StoredPipeline.model_validate(await pipelines.get(name, version))


@router.get(
    "/pipelines/{name}/diff",
    response_class=PlainTextResponse,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE)],
)
async def diff_pipeline_versions(
    name: PipelineName,
    pipelines: PipelinesDep,
    old: Annotated[int, Query(alias="from", ge=1, le=2**31 - 1)],
    new: Annotated[int, Query(alias="to", ge=1, le=2**31 - 1)],
) -> str:
    """The changes between two versions, as a unified diff; empty for equal ones."""
    return await pipelines.diff(name, old, new)


@router.post("/pipelines/validate", responses=problems(NotFoundError), dependencies=[needs_a_key()])
async def validate_pipeline(body: RunCreate, caller: CallerDep, runs: RunsDep) -> Validation:
    """Every problem that a submission with this body would be refused for. The body may be the pipeline file itself, as
    `application/yaml`."""
    submission = submission_of(body)
    try:
        plan = await runs.plan(submission, caller.access)
    except SpecError as error:
        return Validation(valid=False, problems=error.problems, warnings=[])
    return Validation(valid=True, problems=[], warnings=plan.warnings)


@router.get("/schema/pipeline-v1.json", dependencies=[needs_a_key()])
async def get_pipeline_schema() -> dict[str, Any]:
    """The JSON Schema of the pipeline language, for editors."""
    return json_schema()
