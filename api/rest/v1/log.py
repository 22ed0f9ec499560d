"""Routes of step logs."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from sse_starlette import EventSourceResponse, JSONServerSentEvent

from api.dependencies import SAFE_ID, LastEventId, LogsDep
from api.needs import needs
from api.problems import problems
from api.rest.v1.run import RunId
from api.services.log_part import StampedRecord
from api.services.run.log import LogPart, LogService
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.log.log import LogClocks, LogEnd, LogRecord, LogStream
from gamekeeper.errors import InvalidError, NotFoundError

router = APIRouter(prefix="/runs", tags=["logs"])

TryNumber = Annotated[int | None, Query(alias="try", ge=1, le=10_000)]
Tail = Annotated[int | None, Query(ge=0, le=1_000_000, description="The last so many lines, of each step")]
Since = Annotated[
    str | None,
    Query(max_length=40, description="No line before it: a time, or a duration before now", examples=["10m"]),
]
StepName = Annotated[str, Path(max_length=63, pattern=SAFE_ID)]


@router.get(
    "/{run_id}/steps/{step}/logs",
    response_class=Response,
    responses=problems(NotFoundError)
    | {
        200: {
            "content": {"text/plain": {}, "text/event-stream": {}},
            "description": "The log. The header `Gamekeeper-Log-Complete` says true, false, or open.",
        }
    },
    dependencies=[needs(Verb.LOGS, ObjectKind.PIPELINE)],
)
async def get_step_log(
    run_id: RunId,
    step: StepName,
    logs: LogsDep,
    last_event_id: LastEventId,
    follow: Annotated[bool, Query(description="Server-sent events, until the log ends")] = False,
    try_number: TryNumber = None,
    tail: Tail = None,
    since: Since = None,
) -> Response:
    """A step's log: as text, byte for byte; or with `follow=true` as events that resume by `Last-Event-ID`."""
    key = await logs.find(run_id, step, try_number)
    after = last_event_id or await logs.start(key, tail, moment_of(since))
    if follow:
        return EventSourceResponse(_events(logs, key, after))
    await logs.wait_for_end(key)
    state = await logs.state(key)
    complete = "open" if state.end is None else str(state.end.complete).lower()
    if state.end is None and (end := await logs.end_without_record(key)) is not None and end.complete:
        complete = "true"
    headers = {"Gamekeeper-Log-Complete": complete, "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(_text(logs, key, after), media_type="text/plain; charset=utf-8", headers=headers)


def moment_of(text: str | None) -> datetime | None:
    """Raises InvalidError for a text that is neither a time nor a duration."""
    if text is None:
        return None
    try:
        return datetime.now(UTC) - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidError(
            f'since: "{text}" is no time and no duration', hint="write it as 10m or 2026-11-01T12:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _text(logs: LogService, key: StepKey, after_seq: int) -> AsyncIterator[bytes]:
    async for records in logs.read(key, after_seq):
        yield b"".join(plain_bytes(record) for record in records)


def plain_bytes(record: LogRecord) -> bytes:
    if record.stream is LogStream.END:
        return b""
    if record.stream is LogStream.GAP:
        return f"[gamekeeper: lines are missing here: {json.loads(record.data).get('reason', '')}]\n".encode()
    return record.data


async def _events(logs: LogService, key: StepKey, after_seq: int) -> AsyncIterator[JSONServerSentEvent]:
    async for records in logs.follow(key, after_seq):
        clocks = await logs.clocks(key)
        for record in records:
            yield _event(key, record, clocks)
    end = (await logs.state(key)).end
    if end is not None and (await logs.state(key)).last_seq <= after_seq:
        yield JSONServerSentEvent({"complete": end.complete, "reason": end.reason}, event="end")


def _event(key: StepKey, record: LogRecord, clocks: LogClocks) -> JSONServerSentEvent:
    if record.stream is LogStream.END:
        end = LogEnd.decode(record.data)
        return JSONServerSentEvent({"complete": end.complete, "reason": end.reason}, event="end", id=str(record.seq))
    offset = {"clock_offset_ms": clocks.offset_ns(record.seq) / 1e6}
    return line_event(StampedRecord(clocks.server_ns(record), key, record), offset, record.seq)


def line_event(item: StampedRecord, more: dict[str, Any], position: int) -> JSONServerSentEvent:
    """A line, or a gap, as an event with ``more`` about it. A reader resumes behind ``position``."""
    record = item.record
    if record.stream is LogStream.GAP:
        return JSONServerSentEvent(json.loads(record.data) | more, event="gap", id=str(position))
    times = {"at": _iso(item.at_ns), "node_at": _iso(record.ts_ns)}
    data = {"stream": record.stream.name.lower()} | times | more | _text_of(record)
    return JSONServerSentEvent(data, event="line", id=str(position))


def _text_of(record: LogRecord) -> dict[str, str]:
    text = record.data.decode(errors="replace")
    if "�" in text:  # the text is not all that was written
        return {"text": text, "base64": base64.b64encode(record.data).decode()}
    return {"text": text}


def _iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat()


@router.get(
    "/{run_id}/logs",
    response_class=Response,
    responses=problems(NotFoundError)
    | {200: {"content": {"application/x-ndjson": {}}, "description": "A line of JSON for each line."}},
    dependencies=[needs(Verb.LOGS, ObjectKind.PIPELINE)],
)
async def get_run_log(
    run_id: RunId,
    logs: LogsDep,
    step: Annotated[str | None, Query(max_length=63, pattern=SAFE_ID, description="Only this one's")] = None,
    try_number: TryNumber = None,
    tail: Tail = None,
    since: Since = None,
) -> Response:
    """The lines of all steps so far, in one order: that of the server's clock, whatever the nodes' clocks say."""
    merged = await logs.merged(run_id, LogPart(step, try_number if step else None, tail, moment_of(since)))
    return StreamingResponse(_lines(merged), media_type="application/x-ndjson")


async def _lines(merged: AsyncIterator[StampedRecord]) -> AsyncIterator[bytes]:
    async for stamped in merged:
        record = stamped.record
        assert isinstance(stamped.key, StepKey)
        line: dict[str, Any] = {
            "step": stamped.key.step,
            "try": stamped.key.try_,
            "seq": record.seq,
            "stream": record.stream.name.lower(),
            "at": _iso(stamped.at_ns),
            "node_at": _iso(record.ts_ns),
        }
        lost = record.stream is LogStream.GAP
        yield json.dumps(line | (json.loads(record.data) if lost else _text_of(record))).encode() + b"\n"
