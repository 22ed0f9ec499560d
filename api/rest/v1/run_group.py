"""Routes of concurrency groups: the runs that go on, and those that wait."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.dependencies import NO_NUL, Cursor, Limit, RunsDep
from api.needs import Judged, SeenPipelines, needs
from gamekeeper.domain.access.verb import ObjectKind, Verb

router = APIRouter(prefix="/run-groups", tags=["runs"])


class RunGroup(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    running: list[str] = Field(description="Runs that hold a slot")
    waiting: list[str] = Field(description="Runs that wait, the next one first")


class RunGroupList(BaseModel):
    items: list[RunGroup]
    next_cursor: str | None = None


@router.get("", dependencies=[needs(Verb.SEE, ObjectKind.PIPELINE, judged=Judged.LIST)])
async def list_run_groups(
    runs: RunsDep,
    scope: SeenPipelines,
    name: Annotated[str | None, Query(max_length=200, pattern=NO_NUL, description="Only this group")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> RunGroupList:
    """Concurrency groups with runs that have not ended, by name."""
    if name is not None:
        return RunGroupList(items=[RunGroup.model_validate(await runs.group(name, scope))])
    page = await runs.groups(scope, cursor, limit)
    return RunGroupList(items=[RunGroup.model_validate(group) for group in page.rows], next_cursor=page.next_cursor)
