"""Windows that Gamekeeper's own work opens: a drain for its node, an update for its instance. Closed by themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import InstanceRow, NodeRow, WindowRow
from gamekeeper.db.readable import column, readable
from gamekeeper.db.repositories.silence import WindowRepository
from gamekeeper.domain.instance.control import InstanceAction

AFTERWARDS = timedelta(minutes=1)  # things settle
LONGEST_WORK = timedelta(hours=2)  # an action that never ends hides nothing for ever
WORDS: Mapping[str, str] = {
    InstanceAction.UPDATE: "update",
    InstanceAction.ROLLBACK: "update",
    InstanceAction.REVERT: "update",
    InstanceAction.RESTART: "restart",
    InstanceAction.STOP: "stop",
    InstanceAction.REMOVE: "removal",
}


async def work_of_now(session: AsyncSession) -> dict[str, WindowRow]:
    """A window for each piece of work that goes on."""
    nodes: Any = select(NodeRow.id, NodeRow.drain_until).where(col(NodeRow.drain_until).is_not(None))
    found = {}
    for node_id, until in (await readable(session, nodes, column(NodeRow.id)))[0]:
        assert until is not None
        row = _row("drain", "node", node_id, until + AFTERWARDS, "the node is drained")
        found[row.name] = row
    working: Any = select(InstanceRow.id, InstanceRow.operation).where(
        col(InstanceRow.deleted_at).is_(None), col(InstanceRow.operation).is_not(None)
    )
    for instance_id, operation in (await readable(session, working, column(InstanceRow.id)))[0]:
        for row in _of_operation(instance_id, operation if isinstance(operation, dict) else {}):
            found[row.name] = row
    return found


def _of_operation(instance_id: str, operation: Mapping[str, Any]) -> Iterator[WindowRow]:
    word = WORDS.get(operation.get("action", ""))
    try:
        begun = datetime.fromisoformat(str(operation.get("since")))
    except ValueError:
        return
    if word is not None and begun.tzinfo is not None:
        yield _row("update", "instance", instance_id, begun + LONGEST_WORK, f"its {word} goes on")


def _row(source: str, kind: str, object_id: str, until: datetime, reason: str) -> WindowRow:
    return WindowRow(  # no user can give a name with a colon
        name=f"{source}:{object_id}", source=source, on={"kind": kind, "ids": [object_id]}, until=until, reason=reason
    )


async def changed_windows(session: AsyncSession, now: datetime) -> bool:
    """True where work has begun or ended that the windows don't know of."""
    return bool(_changes(await work_of_now(session), *await WindowRepository(session).of_work(), now))


async def keep_windows(session: AsyncSession, now: datetime) -> None:
    windows = WindowRepository(session)
    known, odd = await windows.of_work()
    for row in _changes(await work_of_now(session), known, odd, now):
        if (standing := known.get(row.name)) is None:
            windows.add(row)
        else:
            standing.until, standing.reason = row.until, row.reason


def _changes(
    wanted: Mapping[str, WindowRow], known: Mapping[str, WindowRow], odd: Collection[str], now: datetime
) -> list[WindowRow]:
    """The windows as they should be, of those that are not. One whose work is over stays a little while, and an odd
    one is left."""
    is_known = {name for name, row in wanted.items() if name in known and known[name].until == row.until}
    found = [row for name, row in wanted.items() if name not in is_known and name not in odd]
    end = now + AFTERWARDS
    for name, row in known.items():
        if name not in wanted and row.until is not None and row.until > end:
            found.append(WindowRow(name=name, source=row.source, on=row.on, until=end, reason=row.reason))
    return found
