"""Consoles over WebSockets.

Binary messages are a byte of channel and bytes: 0 is what is typed, 1 standard output, 2 standard error. Text messages
are JSON: from the client ``{"resize": {"columns": 80, "rows": 24}}`` and ``{"end_of_input": true}``; from the server,
as its last, ``{"exit_code": 0}`` or ``{"failed": "why"}``. What is refused is accepted first and then closed with 4000
plus the HTTP status, because that is all of a refusal that a browser shows to its programs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated

from anyio import BrokenResourceError, ClosedResourceError
from fastapi import APIRouter, Query, WebSocket
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from api.dependencies import ConsolesDep
from api.needs import needs
from api.rest.v1.log import StepName
from api.rest.v1.run import RunId
from api.services.node.console import Console
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.language.plain_words import first_words
from gamekeeper.domain.log.log import LogStream
from gamekeeper.domain.run.console import (
    MAX_PIECE_BYTES,
    ConsoleEnd,
    ConsoleHistory,
    ConsoleInput,
    ConsoleSize,
    ConsoleViewers,
    EndOfInput,
)
from gamekeeper.errors import InvalidError, UnavailableError

router = APIRouter(prefix="/runs", tags=["consoles"])

STDIN = 0
INPUT_SECONDS = 30.0
LinesBefore = Callable[[ConsoleHistory | None], Awaitable[bytes]]
Columns = Annotated[int, Query(ge=1, le=10_000)]
Rows = Annotated[int, Query(ge=1, le=10_000)]


class _Resize(BaseModel):
    columns: int = Field(ge=1, le=10_000)
    rows: int = Field(ge=1, le=10_000)


class _Control(BaseModel):
    model_config = ConfigDict(extra="forbid")

    resize: _Resize | None = None
    end_of_input: bool = False


@router.websocket("/{run_id}/steps/{step}/exec", dependencies=[needs(Verb.SHELL, ObjectKind.PIPELINE)])
async def execute(
    websocket: WebSocket,
    run_id: RunId,
    step: StepName,
    consoles: ConsolesDep,
    command: Annotated[list[str], Query(min_length=1, max_length=100)],
    tty: bool = False,
    columns: Columns = 80,
    rows: Rows = 24,
) -> None:
    """Runs a command in a step's running container, beside its process."""
    size = ConsoleSize(columns, rows)
    async with consoles.opened(run_id, step, tuple(command), tty=tty, size=size) as console:
        await carry(websocket, console)


@router.websocket("/{run_id}/steps/{step}/attach", dependencies=[needs(Verb.CONSOLE, ObjectKind.PIPELINE)])
async def attach(websocket: WebSocket, run_id: RunId, step: StepName, consoles: ConsolesDep) -> None:
    """The console of the container's own process: what it writes from now on, and its input where that is open."""
    async with consoles.opened(run_id, step, (), tty=False, size=ConsoleSize()) as console:
        await carry(websocket, console)


async def carry(websocket: WebSocket, console: Console, lines_before: LinesBefore | None = None) -> None:
    """Carries both directions until one side goes. ``lines_before`` gives what is shown before the agent's history, or
    in its place."""
    await websocket.accept()
    receiving = asyncio.create_task(_receive(websocket, console))
    sending = asyncio.create_task(_send(websocket, console, lines_before))
    try:
        await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
        for task in (receiving, sending):
            if task.done():
                task.result()
    except WebSocketDisconnect:
        return
    finally:
        for task in (receiving, sending):
            task.cancel()
        await asyncio.gather(receiving, sending, return_exceptions=True)


async def _receive(websocket: WebSocket, console: Console) -> None:
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            for given in _read(message.get("bytes"), message.get("text")):
                async with asyncio.timeout(INPUT_SECONDS):
                    await console.to_agent.sending.send(given)
    except TimeoutError as error:  # behind what is not read, a client that has gone would not be seen
        raise UnavailableError(f"the command has not read its input for {INPUT_SECONDS:.0f} s") from error
    except (BrokenResourceError, ClosedResourceError):
        await asyncio.Event().wait()  # the command has ended; its last output is on its way


def _read(data: bytes | None, text: str | None) -> list[ConsoleInput]:
    """Raises InvalidError for any other message."""
    if data:
        if data[0] != STDIN:
            raise InvalidError(f"channel {data[0]} takes no input", hint="send what is typed on channel 0")
        typed = data[1:]
        return [typed[at : at + MAX_PIECE_BYTES] for at in range(0, len(typed), MAX_PIECE_BYTES)]
    try:
        control = _Control.model_validate_json(text or "{}")
    except ValidationError as error:
        raise InvalidError(f"not a message of a console: {first_words(error)}") from error
    found: list[ConsoleInput] = []
    if control.resize is not None:
        found.append(ConsoleSize(control.resize.columns, control.resize.rows))
    if control.end_of_input:
        found.append(EndOfInput())
    return found


async def _send(websocket: WebSocket, console: Console, lines_before: LinesBefore | None) -> None:
    end = ConsoleEnd(None, f"the agent of node {console.node_id} went away")
    if lines_before is not None and not console.has_history:
        await _show(websocket, await lines_before(None))
        lines_before = None
    async for output in console.to_client.receiving:
        if isinstance(output, ConsoleHistory):
            if lines_before is not None:
                await _show(websocket, await lines_before(output))
                lines_before = None
        elif isinstance(output, ConsoleEnd):
            end = output
        elif isinstance(output, ConsoleViewers):
            await websocket.send_text(json.dumps({"viewers": output.names}))
        else:
            await websocket.send_bytes(bytes([output.stream]) + output.data)
    if lines_before is not None:
        await _show(websocket, await lines_before(None))
    last = {"failed": end.failed} if end.exit_code is None else {"exit_code": end.exit_code}
    await websocket.send_text(json.dumps(last))
    await websocket.close()


async def _show(websocket: WebSocket, before: bytes) -> None:
    for at in range(0, len(before), MAX_PIECE_BYTES):
        await websocket.send_bytes(bytes([LogStream.STDOUT]) + before[at : at + MAX_PIECE_BYTES])
