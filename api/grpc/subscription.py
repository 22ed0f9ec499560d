"""Pushes to an agent: its node's events, resumed by their numbers, and directives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from api.services.event import EventService
from api.services.node.agent_session import AgentSession
from gamekeeper.db.models import EventRow
from gamekeeper.domain.event.event_filter import EventFilter
from gamekeeper.domain.run.console import ConsoleRequest
from gamekeeper.errors import PreconditionError
from gamekeeper.rpc.console import console_request_to_pb
from gamekeeper.rpc.v1 import node_link_pb2 as pb
from gamekeeper.uncancelled import uncancelled


async def pushes(events: EventService, session: AgentSession, after: int) -> AsyncGenerator[pb.Push, None]:
    """Yields pushes until the session is over. An agent that does not read holds up its own stream alone.

    The agent subscribes again in its next session: a subscription that outlived its own, on a connection that held,
    would hear of no console and no directive any more.
    """
    queue: asyncio.Queue[pb.Push] = asyncio.Queue(maxsize=100)
    readers = [
        asyncio.create_task(_read_events(events, session.node_id, after, queue)),
        asyncio.create_task(_read_directives(session, queue)),
    ]
    over = asyncio.create_task(session.over.wait())
    getting = asyncio.create_task(queue.get())
    try:
        while True:
            await asyncio.wait({getting, over, *readers}, return_when=asyncio.FIRST_COMPLETED)
            for reader in readers:
                if reader.done():
                    reader.result()
            if not getting.done():
                raise PreconditionError(f"the session of node {session.node_id} is over", hint="open a new one")
            push = getting.result()
            getting = asyncio.create_task(queue.get())
            yield push
    finally:
        for task in (*readers, over, getting):
            task.cancel()


async def _read_events(events: EventService, node_id: str, after: int, queue: asyncio.Queue[pb.Push]) -> None:
    start = after or await uncancelled(events.newest_seq())
    async for batch in events.follow(start, EventFilter(node=node_id)):
        if batch.lost_to:
            await queue.put(pb.Push(gap=pb.Gap(first_seq=after + 1, last_seq=batch.lost_to)))
        for row in batch.rows:
            await queue.put(pb.Push(event=_event(row)))


async def _read_directives(session: AgentSession, queue: asyncio.Queue[pb.Push]) -> None:
    while True:
        directive = await session.directives.get()
        if isinstance(directive, ConsoleRequest):
            await queue.put(pb.Push(open_console=console_request_to_pb(directive)))
        else:
            await queue.put(pb.Push(directive=pb.Directive.ValueType(directive)))


def _event(row: EventRow) -> pb.Event:
    return pb.Event(
        seq=row.seq or 0,
        kind=row.kind,
        run_id=row.run,
        step=row.step,
        container=row.container,
        reason=row.reason,
        message=row.message,
        actor=row.actor,
        at_ms=int(row.at.timestamp() * 1000),
        hlc=row.hlc,
    )
