"""Consoles of instances over WebSockets: messages as those of a step's consoles.

Besides, the server says who looks on, as JSON: ``{"viewers": ["key:admin"]}``, whenever somebody comes or goes.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, WebSocket

from api.dependencies import ConsolesDep, InstanceLogsDep, InstancesDep
from api.needs import needs
from api.rest.v1.console import Columns, Rows, carry
from api.rest.v1.instance import InstanceId
from api.services.instance.instance import running_key
from gamekeeper.domain.access.verb import ObjectKind, Verb
from gamekeeper.domain.run.console import MAX_HISTORY, ConsoleSize

router = APIRouter(prefix="/instances", tags=["consoles"])

History = Annotated[int, Query(ge=0, le=MAX_HISTORY, description="Lines of its log that are shown first")]


@router.websocket("/{instance_id}/exec", dependencies=[needs(Verb.SHELL, ObjectKind.INSTANCE)])
async def execute(
    websocket: WebSocket,
    instance_id: InstanceId,
    instances: InstancesDep,
    consoles: ConsolesDep,
    command: Annotated[list[str], Query(min_length=1, max_length=100)],
    tty: bool = False,
    columns: Columns = 80,
    rows: Rows = 24,
) -> None:
    """Runs a command in an instance's container, beside its process."""
    seen = await instances.get(instance_id)
    size = ConsoleSize(columns, rows)
    async with consoles.opened_at(
        seen.row.node_id, running_key(seen.row), tuple(command), tty=tty, size=size
    ) as console:
        await carry(websocket, console)


@router.websocket("/{instance_id}/console", dependencies=[needs(Verb.CONSOLE, ObjectKind.INSTANCE)])
async def attach(
    websocket: WebSocket,
    instance_id: InstanceId,
    instances: InstancesDep,
    logs: InstanceLogsDep,
    consoles: ConsolesDep,
    history: History = 100,
) -> None:
    """The console of the instance's own process: the end of its log, what it writes from now on, and its input. Any
    number of people may have it open."""
    seen = await instances.get(instance_id)
    size = ConsoleSize()
    key = running_key(seen.row)
    async with consoles.opened_at(seen.row.node_id, key, (), tty=False, size=size, history=history) as console:
        await carry(websocket, console, partial(logs.lines_before, instance_id, key, history) if history else None)
