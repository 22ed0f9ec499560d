"""Routes of pipelines: checking one, and the language's JSON Schema."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from api.dependencies import RunsDep
from api.rest.v1.run import RunCreate, submission_of
from gamekeeper.domain.pipeline import json_schema
from gamekeeper.domain.problem import Problem
from gamekeeper.errors import SpecError

router = APIRouter(tags=["pipelines"])


class Validation(BaseModel):
    valid: bool
    problems: list[Problem]


@router.post("/pipelines/validate")
async def validate_pipeline(body: RunCreate, runs: RunsDep) -> Validation:
    """Every problem that a submission with this body would be refused for."""
    submission = submission_of(body)
    try:
        await runs.plan(submission)
    except SpecError as error:
        return Validation(valid=False, problems=error.problems)
    return Validation(valid=True, problems=[])


@router.get("/schema/pipeline-v1.json")
async def get_pipeline_schema() -> dict[str, Any]:
    """The JSON Schema of the pipeline language, for editors."""
    return json_schema()
