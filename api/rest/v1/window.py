"""Routes of maintenance windows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Response, status
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.dependencies import SAFE_ID, IfMatch, WindowsDep
from api.needs import needs
from api.problems import problems
from api.rest.body import Body
from api.rest.v1.silence import MAX_REASON, RuleIds
from api.services.alarm.window import SeenWindow, WindowTerms
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.alarm.mute import MAX_WINDOW
from gamekeeper.domain.alarm.selection import Selection
from gamekeeper.domain.language.cron import check_cron, check_zone
from gamekeeper.domain.language.units import format_duration, parse_duration
from gamekeeper.errors import ConflictError, NotFoundError, PreconditionError

router = APIRouter(prefix="/windows", tags=["alarms"])

OWN_WORK = r"^[A-Za-z0-9._:-]+$"  # its names are those that no user can give
WindowName = Annotated[
    str, Path(max_length=80, pattern=SAFE_ID, description="Name of the window", examples=["weekly-updates"])
]
AnyWindowName = Annotated[
    str,
    Path(
        max_length=80,
        pattern=OWN_WORK,
        description="Name of the window; own work's has a colon",
        examples=["drain:eu-1"],
    ),
]
_EXAMPLE: JsonDict = {
    "on": {"kind": "node", "labels": {"pool": "eu"}},
    "cron": "0 4 * * TUE",
    "timezone": "Europe/Berlin",
    "duration": "2h",
    "reason": "system updates",
}


def _duration(text: str) -> str:
    if not timedelta(minutes=1) <= parse_duration(text) <= MAX_WINDOW:
        raise ValueError(f"a window lasts a minute at least and {format_duration(MAX_WINDOW)} at most")
    return text


class WindowSet(Body):
    """A recurring window to be made, or to take the place of one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    on: Selection = Field(
        default_factory=Selection, description="Objects whose alarms are muted; a node's with all on it"
    )
    rules: RuleIds = Field(default_factory=list, description="Alarms of these rules alone; all of them by default")
    cron: Annotated[str, Field(max_length=200), AfterValidator(check_cron)] = Field(
        description="When it begins, as five fields: minute, hour, day, month, weekday"
    )
    timezone: Annotated[str, Field(max_length=100), AfterValidator(check_zone)] = Field(
        default="UTC", description="The clock that `cron` is read by, as an IANA name"
    )
    duration: Annotated[str, Field(max_length=40), AfterValidator(_duration)] = Field(
        description="How long it lasts, a week at most"
    )
    reason: str = Field(default="", max_length=MAX_REASON, description="For those who look later")


class Window(BaseModel):
    """A maintenance window."""

    name: str = Field(description="Name of the window")
    source: str = Field(
        description="`user`; or `drain` or `update` for one of Gamekeeper's own work, which ends with it"
    )
    on: Selection = Field(description="Objects whose alarms are muted; a node's with all on it")
    rules: list[str] = Field(description="Alarms of these rules alone; none stands for all of them")
    cron: str = Field(description="When it begins; empty for one of own work")
    timezone: str = Field(description="The clock that `cron` is read by")
    duration: str = Field(description="How long it lasts; empty for one of own work")
    reason: str
    open_until: datetime | None = Field(description="Its end, while it is open; null while it is not")
    version: int = Field(description="Counts its changes; also the ETag")
    updated_by: str = Field(description="Who changed it last; empty for own work")
    updated_at: datetime

    @classmethod
    def of(cls, seen: SeenWindow) -> Window:
        fields = seen.row.model_dump(include=cls.model_fields.keys() - {"open_until"})
        return cls(**fields, open_until=seen.open_until)


class WindowList(BaseModel):
    """All maintenance windows."""

    items: list[Window]


def _shown(seen: SeenWindow, response: Response) -> Window:
    response.headers["ETag"] = f'"{seen.row.version}"'
    return Window.of(seen)


@router.get("", dependencies=[needs(Verb.SEE, ObjectKind.SERVER)])
async def list_windows(windows: WindowsDep) -> WindowList:
    """Recurring windows by their names, and those that Gamekeeper's own work has opened."""
    return WindowList(items=[Window.of(seen) for seen in await windows.list_all()])


@router.get("/{window}", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.SERVER)])
async def get_window(window: AnyWindowName, windows: WindowsDep, response: Response) -> Window:
    """One window. Its `ETag` is what `If-Match` of a change takes."""
    return _shown(await windows.get(window), response)


@router.put(
    "/{window}",
    responses=problems(ConflictError, PreconditionError) | {201: {"model": Window, "description": "The window is new"}},
    dependencies=[needs(Verb.POWER, ObjectKind.SERVER)],
)
async def set_window(
    window: WindowName, body: WindowSet, windows: WindowsDep, if_match: IfMatch, response: Response
) -> Window:
    """Makes a recurring window, or replaces one. While it is open, alarms are raised and nobody is told."""
    terms = WindowTerms(body.on, body.rules, body.cron, body.timezone, body.duration, body.reason)
    seen, is_new = await windows.set(window, terms, if_match)
    response.status_code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
    response.headers["Location"] = f"/api/v1/windows/{window}"
    return _shown(seen, response)


@router.delete(
    "/{window}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(NotFoundError, ConflictError, PreconditionError),
    dependencies=[needs(Verb.POWER, ObjectKind.SERVER)],
)
async def remove_window(window: AnyWindowName, windows: WindowsDep, if_match: IfMatch) -> None:
    """Removes a recurring window. What it muted and still stands is told now."""
    await windows.remove(window, if_match)
