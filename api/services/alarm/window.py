"""Maintenance windows: recurring ones of users, and those that Gamekeeper's own work has opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gamekeeper.actor import current_actor
from gamekeeper.control_plane.alarm.config import window_of
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import WindowRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.silence import WindowRepository
from gamekeeper.domain.alarm.mute import MAX_WINDOWS
from gamekeeper.domain.alarm.selection import Selection
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError, PreconditionError


@dataclass(frozen=True)
class SeenWindow:
    """``open_until`` is None for a window that is not open now."""

    row: WindowRow
    open_until: datetime | None


@dataclass(frozen=True)
class WindowTerms:
    """``duration`` is as its user wrote it; the cron line and the zone were checked."""

    on: Selection
    rules: Sequence[str]
    cron: str
    timezone: str
    duration: str
    reason: str


class WindowService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_all(self) -> list[SeenWindow]:
        """By their names."""
        now, found = utc_now(), []
        async with self._database.read() as session:
            rows = await WindowRepository(session).all(now)
        for row in rows:
            with self._database.odd_rows.row(f"windows {row.name}"):
                found.append(_seen(row, now))
        return found

    async def get(self, name: str) -> SeenWindow:
        """Raises NotFoundError."""
        async with self._database.read() as session:
            return _seen(await WindowRepository(session).get(name), utc_now())

    async def set(self, name: str, terms: WindowTerms, if_match: int | None) -> tuple[SeenWindow, bool]:
        """The window, and whether it is new. Raises InvalidError for a selection that means nothing, PreconditionError,
        and ConflictError for too many, and for a name of our own work."""
        terms.on.selector()
        async with self._database.write() as session:
            windows = WindowRepository(session)
            row = await windows.find(name)
            is_new = row is None
            if row is None:
                if if_match is not None:
                    raise PreconditionError(f'there is no window "{name}" yet', hint="leave If-Match out")
                if len(await windows.all(utc_now())) >= MAX_WINDOWS:
                    raise ConflictError(f"there are {MAX_WINDOWS} windows already", hint="remove one first")
                row = WindowRow(name=name, version=0)
                windows.add(row)
            _check_own(row)
            _match(row, if_match)
            row.on, row.rules = terms.on.model_dump(mode="json"), list(terms.rules)
            row.cron, row.timezone, row.duration = terms.cron, terms.timezone, terms.duration
            row.reason, row.version = terms.reason, row.version + 1
            row.updated_by, row.updated_at = current_actor(), utc_now()
            data = {"window": name, "on": row.on, "cron": row.cron, "duration": row.duration}
            record(session, Event(kind=EventKind.ALARM_WINDOW_SET, message=name, data=data))
        return _seen(row, utc_now()), is_new

    async def remove(self, name: str, if_match: int | None) -> None:
        """Raises NotFoundError, PreconditionError, and ConflictError for one of our own work."""
        async with self._database.write() as session:
            windows = WindowRepository(session)
            row = await windows.get(name)
            _check_own(row)
            _match(row, if_match)
            await windows.delete(row)
            record(session, Event(kind=EventKind.ALARM_WINDOW_REMOVED, message=name, data={"window": name}))


def _seen(row: WindowRow, now: datetime) -> SeenWindow:
    mute = window_of(row, now)
    return SeenWindow(row, mute.until if mute else None)


def _check_own(row: WindowRow) -> None:
    if row.source != "user":
        raise ConflictError(f'the window "{row.name}" is that of a {row.source}', hint="it ends with it, by itself")


def _match(row: WindowRow, if_match: int | None) -> None:
    if if_match is not None and if_match != row.version:
        raise PreconditionError(
            f'the window "{row.name}" is at version {row.version}, not {if_match}: somebody changed it',
            hint="read it again, then repeat",
        )
