"""Routes of instances' logs, events and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from sse_starlette import EventSourceResponse, JSONServerSentEvent

from api.dependencies import Cursor, EventsDep, InstanceLogsDep, InstancesDep, LastEventId, Limit, MetricsDep
from api.needs import needs
from api.problems import problems
from api.rest.items import shown_items
from api.rest.v1.event import Event, EventList
from api.rest.v1.instance import InstanceId
from api.rest.v1.log import Since, Tail, line_event, moment_of, plain_bytes
from api.rest.v1.metric import From, MetricSeries, Step, To, series_of
from api.services.instance.log import InstanceLogPart, InstanceLogService, position_of
from api.services.log_part import StampedRecord
from api.services.node.metric import container_subject
from gamekeeper.domain.access.sight import ALL_SEEING
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.container.container_key import InstanceKey
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.errors import NotFoundError

router = APIRouter(prefix="/instances", tags=["instances"])


@router.get(
    "/{instance_id}/logs",
    response_class=Response,
    responses=problems(NotFoundError)
    | {200: {"content": {"text/plain": {}, "text/event-stream": {}}, "description": "The log, over all revisions."}},
    dependencies=[needs(Verb.LOGS, ObjectKind.INSTANCE)],
)
async def get_instance_log(
    instance_id: InstanceId,
    logs: InstanceLogsDep,
    last_event_id: LastEventId,
    follow: Annotated[bool, Query(description="Server-sent events, until the instance is gone")] = False,
    lines: Annotated[bool, Query(description="Server-sent events of the lines so far")] = False,
    revision: Annotated[int | None, Query(ge=1, le=1_000_000, description="Only that of this one")] = None,
    tail: Tail = None,
    since: Since = None,
) -> Response:
    """The log of all revisions as one: as text, byte for byte; or as events that resume by `Last-Event-ID`."""
    wanted = InstanceLogPart(revision, tail, moment_of(since), last_event_id)
    revisions = await logs.keys(instance_id, revision)
    if follow or lines:
        adopted = next((number for key, number in revisions.items() if not isinstance(key, InstanceKey)), 0)
        return EventSourceResponse(_events(logs, instance_id, wanted, adopted, follow=follow))
    headers = {"X-Content-Type-Options": "nosniff"}
    found = await logs.read(instance_id, wanted)
    return StreamingResponse(_text(found), media_type="text/plain; charset=utf-8", headers=headers)


async def _text(found: AsyncIterator[StampedRecord]) -> AsyncIterator[bytes]:
    async for item in found:
        yield plain_bytes(item.record)


async def _events(
    logs: InstanceLogService, instance_id: str, wanted: InstanceLogPart, adopted: int, *, follow: bool
) -> AsyncIterator[JSONServerSentEvent]:
    """``adopted`` is the revision whose log is that of a step."""
    found = logs.follow(instance_id, wanted) if follow else await logs.read(instance_id, wanted)
    async for item in found:
        revision = item.key.revision if isinstance(item.key, InstanceKey) else adopted
        yield line_event(item, {"revision": revision}, position_of(item))
    reason = f"instance {instance_id} is gone" if follow else ""
    yield JSONServerSentEvent({"complete": True, "reason": reason}, event="end")


@router.get(
    "/{instance_id}/events", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.INSTANCE)]
)
async def list_instance_events(
    instance_id: InstanceId, instances: InstancesDep, events: EventsDep, cursor: Cursor = None, limit: Limit = 50
) -> EventList:
    """Its events and who caused them, newest first. `GET /events?instance=` also follows."""
    await instances.get(instance_id)
    page = await events.page(EventFilter(instance=instance_id), ALL_SEEING, cursor=cursor, limit=limit)
    items = shown_items(events.odd_rows, page.rows, Event.model_validate, "seq")
    return EventList(items=items, next_cursor=page.next_cursor)


@router.get(
    "/{instance_id}/metrics", responses=problems(NotFoundError), dependencies=[needs(Verb.SEE, ObjectKind.INSTANCE)]
)
async def get_instance_metrics(
    instance_id: InstanceId,
    instances: InstancesDep,
    metrics: MetricsDep,
    start: From = None,
    to: To = None,
    step: Step = 5,
) -> MetricSeries:
    """CPU, memory, network, block I/O and processes of its container, over all revisions."""
    await instances.get(instance_id)
    return await series_of(metrics, container_subject(InstanceKey(instance=instance_id, revision=1)), start, to, step)
