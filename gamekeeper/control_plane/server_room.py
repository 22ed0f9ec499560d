"""Room on the server's disks, as the api told it last: it alone sees the disk of the logs.

The control worker may run on another machine. So it asks the database, in which each change of that is an event.
"""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.repositories.event import EventRepository
from gamekeeper.domain.event.event_kind import EventKind


async def server_trouble(session: AsyncSession) -> str:
    """Names the disk that is nearly full; empty where all have room."""
    told = await EventRepository(session).newest_of(EventKind.SERVER_DISK_LOW, EventKind.SERVER_DISK_FREE)
    return (
        told.message or "a disk of the server is nearly full" if told and told.kind == EventKind.SERVER_DISK_LOW else ""
    )
