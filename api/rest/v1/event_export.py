"""The operation log as a file: all of it, or of one actor, for whoever has to show later who did what."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from api.dependencies import EventsDep
from api.needs import SightDep, needs_on_anything
from api.rest.items import shown_items
from api.rest.v1.event import Event, WantedEvents
from api.services.event import EventService
from gamekeeper.domain.access.sight import Sight
from gamekeeper.domain.access.verb import Verb
from gamekeeper.domain.event.event_filter import EventFilter

router = APIRouter(prefix="/events", tags=["events"])

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # spreadsheets would work such a cell out


class ExportFormat(StrEnum):
    """The form of an exported log."""

    JSONL = "jsonl"
    CSV = "csv"


_TYPES = {ExportFormat.JSONL: "application/x-ndjson", ExportFormat.CSV: "text/csv; charset=utf-8"}


@router.get(
    "/export",
    response_class=Response,
    responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}, "description": "The events."}},
    dependencies=[needs_on_anything(Verb.SEE)],
)
async def export_events(
    events: EventsDep,
    sight: SightDep,
    wanted: WantedEvents,
    form: Annotated[
        ExportFormat, Query(alias="format", description="A JSON object a line, or CSV")
    ] = ExportFormat.JSONL,
) -> Response:
    """Every event that is kept, wanted and to be seen, oldest first. A cell of CSV that a spreadsheet would take for a
    formula begins with an apostrophe."""
    lines = _csv(events, wanted, sight) if form is ExportFormat.CSV else _json(events, wanted, sight)
    return StreamingResponse(lines, media_type=_TYPES[form])


async def _batches(events: EventService, wanted: EventFilter, sight: Sight) -> AsyncIterator[Sequence[Event]]:
    async for rows in events.whole(wanted, sight):
        yield shown_items(events.odd_rows, rows, Event.shown_to(sight), "seq")


async def _json(events: EventService, wanted: EventFilter, sight: Sight) -> AsyncIterator[str]:
    async for batch in _batches(events, wanted, sight):
        yield "".join(f"{event.model_dump_json()}\n" for event in batch)


async def _csv(events: EventService, wanted: EventFilter, sight: Sight) -> AsyncIterator[str]:
    names = list(Event.model_fields)
    yield _lines([names])
    async for batch in _batches(events, wanted, sight):
        yield _lines([[_cell(value) for value in event.model_dump(mode="json").values()] for event in batch])


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
