"""The route by which the supervisor of a stack tells of its processes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field

from api.dependencies import SAFE_ID, ProcessesDep
from api.needs import needs
from api.rest.body import Body
from api.rest.fields import ZonedMoment
from gamekeeper.domain.access.verb import ObjectKind, Verb

router = APIRouter(prefix="/processes", tags=["events"])

ProcessName = Annotated[str, Path(max_length=80, pattern=SAFE_ID, description="As `gamekeeper status` names it")]


class ReplacedProcess(Body):
    """A process that was frozen, and for which another was started."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"at": "2026-11-24T02:12:45Z", "silent_seconds": 8.4}]}
    )

    at: ZonedMoment = Field(description="When the new process was started, by the supervisor's clock")
    silent_seconds: float = Field(ge=0, le=1e6, description="For how long the old one had not answered")


@router.post("/{process}/replaced", status_code=204, dependencies=[needs(Verb.ADMIN, ObjectKind.SERVER)])
async def create_replacement(process: ProcessName, body: ReplacedProcess, processes: ProcessesDep) -> None:
    """Records the event `process.replaced`. The supervisor of `gamekeeper up` tells so of a frozen process."""
    at: datetime = body.at
    await processes.replaced(process, at=at, silent_seconds=body.silent_seconds)
