"""Routes of silences, each of which ends by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.dependencies import SAFE_ID, SilencesDep
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.rest.items import shown_items
from gamekeeper.db.models import SilenceRow
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.alarm.mute import MAX_SILENCE
from gamekeeper.domain.alarm.rule import RULE_ID
from gamekeeper.domain.alarm.selection import Selection
from gamekeeper.domain.language.units import format_duration, parse_duration
from gamekeeper.errors import ConflictError, NotFoundError

router = APIRouter(prefix="/silences", tags=["alarms"])

MAX_REASON = 500
RuleIds = Annotated[list[Annotated[str, Field(max_length=63, pattern=RULE_ID)]], Field(max_length=50)]
SilenceId = Annotated[str, Path(max_length=16, pattern=SAFE_ID, description="Id of the silence")]
_EXAMPLE: JsonDict = {"on": {"kind": "node", "labels": {"pool": "eu"}}, "for": "4h", "reason": "new switches"}


def silence_lifetime(text: str) -> str:
    """A duration for which a silence may last."""
    if not timedelta(seconds=1) <= parse_duration(text) <= MAX_SILENCE:
        raise ValueError(f"a silence lasts a second at least and {format_duration(MAX_SILENCE)} at most")
    return text


class SilenceCreate(Body):
    """A silence to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    on: Selection = Field(default_factory=Selection, description="Objects whose alarms are muted")
    rules: RuleIds = Field(default_factory=list, description="Alarms of these rules alone; all of them by default")
    lifetime: Annotated[str, Field(max_length=40), AfterValidator(silence_lifetime)] = Field(
        alias="for", description="How long, 90 days at most"
    )
    reason: str = Field(default="", max_length=MAX_REASON, description="For those who look later")


class Silence(BaseModel):
    """A silence that stands."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Id of the silence")
    on: Selection = Field(description="Objects whose alarms are muted")
    rules: list[str] = Field(description="Alarms of these rules alone; none stands for all of them")
    reason: str
    until: datetime = Field(description="When it ends by itself")
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, row: SilenceRow) -> Silence:
        return cls.model_validate(row)


class SilenceList(BaseModel):
    """All silences that stand."""

    items: list[Silence]


@router.get("", dependencies=[needs(Verb.SEE, ObjectKind.SERVER)])
async def list_silences(silences: SilencesDep) -> SilenceList:
    """The silences that stand, the next to end first."""
    return SilenceList(items=shown_items(silences.odd_rows, await silences.standing(), Silence.of))


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses=problems(ConflictError),
    dependencies=[needs(Verb.POWER, ObjectKind.SERVER)],
)
async def create_silence(body: SilenceCreate, silences: SilencesDep, response: Response) -> Silence:
    """Mutes alarms for a while: they are raised and shown as muted, and nobody is told."""
    row = await silences.make(body.on, body.rules, parse_duration(body.lifetime), body.reason)
    response.headers["Location"] = f"/api/v1/silences/{row.id}"
    return Silence.of(row)


@router.delete(
    "/{silence_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError),
    dependencies=[needs(Verb.POWER, ObjectKind.SERVER)],
)
async def end_silence(silence_id: SilenceId, silences: SilencesDep) -> None:
    """Ends a silence before its time. What it muted and still stands is told now."""
    await silences.end(silence_id)
