"""Routes of the event log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse, JSONServerSentEvent

from api.dependencies import Cursor, EventsDep, LastEventId, Limit
from api.needs import SightDep, needs_on_anything
from api.rest.fields import Moment
from api.rest.items import shown_items
from api.services.event import EventService
from gamekeeper.db.models import EventRow
from gamekeeper.domain.access.sight import Sight
from gamekeeper.domain.access.verb import Verb
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.event.event_kind import SUBJECTS, EventKind
from gamekeeper.domain.language.problem import did_you_mean
from gamekeeper.errors import InvalidError

router = APIRouter(prefix="/events", tags=["events"])

Kind = Annotated[str, Query(max_length=60, pattern=r"^[a-z_]+(\.[a-z_]+)?$")]


class Event(BaseModel):
    """One event. `seq` is the order in which events became visible; `hlc` orders them among other machines' records."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "seq": 41,
                    "hlc": 117531512127488001,
                    "at": "2026-11-24T02:12:45Z",
                    "kind": "node.offline",
                    "node": "vm",
                    "run": "",
                    "step": "",
                    "container": "",
                    "instance": "",
                    "reason": "silent",
                    "message": "no heartbeat for 10.4 s; its lease is 10.0 s",
                    "actor": "system",
                    "actor_id": "",
                    "address": "",
                    "data": {},
                    "node_at": None,
                    "clock_offset_ms": None,
                }
            ]
        },
    )

    seq: int
    hlc: int
    at: datetime = Field(description="By the server's clock")
    kind: str
    node: str
    run: str
    step: str
    container: str
    instance: str
    reason: str
    message: str
    actor: str = Field(description="Who did it: `key:NAME`, `agent:NODE` or `system`")
    actor_id: str = Field(description="Id of the caller: its name may be another's later; empty for none")
    address: str = Field(
        description="From where the caller asked; empty where nobody did, and for who has not the verb `admin` on the "
        "server and is not that caller"
    )
    data: dict[str, Any]
    node_at: datetime | None = Field(description="By the node's clock, where a node reported it")
    clock_offset_ms: float | None = Field(description="How far the node's clock was ahead of the server's")

    @classmethod
    def shown_to(cls, sight: Sight) -> Callable[[EventRow], Event]:
        """Makes an event of a row, without what its reader may not know of others."""

        def of(row: EventRow) -> Event:
            found = cls.model_validate(row)
            return found if sight.shows_address(row) else found.model_copy(update={"address": ""})

        return of


class EventList(BaseModel):
    items: list[Event]
    next_cursor: str | None = None


def wanted_events(
    kind: Annotated[list[Kind] | None, Query(max_length=20, description="`node.offline`, or all of `node`")] = None,
    node: Annotated[str, Query(max_length=63)] = "",
    run: Annotated[str, Query(max_length=32)] = "",
    step: Annotated[str, Query(max_length=63)] = "",
    instance: Annotated[str, Query(max_length=63)] = "",
    actor: Annotated[str, Query(max_length=210, description="As `key:ci`")] = "",
    since: Moment | None = None,
    until: Moment | None = None,
) -> EventFilter:
    """The filter of a question. Raises InvalidError for a time without its zone, and for a kind that is none."""
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise InvalidError(f"{name} has no time zone", hint="write it like 2026-11-24T02:12:45Z")
    for given in kind or ():
        _check_kind(given)
    return EventFilter(kind or (), node, run, step, instance, actor, since, until)


WantedEvents = Annotated[EventFilter, Depends(wanted_events)]


@router.get(
    "",
    response_model=EventList,
    responses={200: {"content": {"application/json": {}, "text/event-stream": {}}, "description": "The events."}},
    dependencies=[needs_on_anything(Verb.SEE)],
)
async def list_events(
    events: EventsDep,
    sight: SightDep,
    wanted: WantedEvents,
    last_event_id: LastEventId,
    cursor: Cursor = None,
    limit: Limit = 50,
    follow: Annotated[bool, Query(description="Server-sent events from `Last-Event-ID`, or from now, on")] = False,
) -> Response | EventList:
    """The operation log, newest first; or followed, oldest first, neither skipping nor repeating. It has the events of
    what its reader may see, and no others: those of users, keys, sign-ins and grants are for who has the verb `admin`
    on the server, and for whom they are about."""
    if follow:
        after = last_event_id or await events.newest_seq()
        return EventSourceResponse(_stream(events, after, wanted, sight))
    page = await events.page(wanted, sight, cursor=cursor, limit=limit)
    items = shown_items(events.odd_rows, page.rows, Event.shown_to(sight), "seq")
    return EventList(items=items, next_cursor=page.next_cursor)


def _check_kind(kind: str) -> None:
    """A filter with a slip in it would match nothing, for ever and without a word."""
    known = (*SUBJECTS, *EventKind)
    if kind not in known:
        hint = did_you_mean(kind, known) or "docs/events.md lists all kinds"
        raise InvalidError(f'there is no kind of event "{kind}"', hint=hint)


async def _stream(
    events: EventService, after: int, wanted: EventFilter, sight: Sight
) -> AsyncIterator[JSONServerSentEvent]:
    async for batch in events.follow(after, wanted, sight):
        if batch.lost_to:
            yield JSONServerSentEvent({"from": after + 1, "to": batch.lost_to}, event="gap", id=str(batch.lost_to))
        for event in shown_items(events.odd_rows, batch.rows, Event.shown_to(sight), "seq"):
            yield JSONServerSentEvent(event.model_dump(mode="json"), event="event", id=str(event.seq))
