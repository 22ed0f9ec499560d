"""SQL of the room that tries of steps hold: noted, given back, and found where a run left some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, delete, insert, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.models import PortReservationRow, ReservationRow, RunRow, StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.readable import column
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.node.gpu_choice import GivenGpus
from gamekeeper.domain.node.placement import Use
from gamekeeper.domain.run.run import FINAL_RUN_STATES
from gamekeeper.domain.run.step import ROOM_WAIT, StepState
from gamekeeper.domain.run.step_room import RoomRelease, StepRoom

OWNER_KIND = "step"
_RESERVATIONS: Table = ReservationRow.__table__  # type: ignore[attr-defined]
_PORTS: Table = PortReservationRow.__table__  # type: ignore[attr-defined]


class StepRoomRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, room: StepRoom, gpus: GivenGpus) -> None:
        """Promises the room, and each of its ports."""
        self._session.add(ReservationRow(**_values(room, gpus)))
        owner = {"node_id": room.node, "owner_kind": OWNER_KIND, "owner_id": str(room.key)}
        for port in room.ports:
            for number in range(port.number, port.number + port.count):
                self._session.add(PortReservationRow(**owner, protocol=port.protocol, number=number, key=port.name))

    async def note(self, rooms: Sequence[StepRoom]) -> None:
        """Counts tries that have started without asking. Each is noted once: a state of a run is written once. They are
        many, and nobody looks at them one by one, so they are values, and no objects of the session."""
        if rooms:
            values = [_values(room, GivenGpus()) for room in rooms]
            await (await self._session.connection()).execute(insert(_RESERVATIONS), values)

    async def find(self, key: StepKey) -> ReservationRow | None:
        return await self._session.get(ReservationRow, (OWNER_KIND, str(key)))

    async def release(self, released: Sequence[RoomRelease]) -> None:
        """Gives the room of tries back; what was given back before stays so."""
        if released:
            await self._remove([str(each.key) for each in released])

    async def release_run(self, run_id: str) -> None:
        """Gives back what a run still holds at its end."""
        query = select(column(ReservationRow.owner_id)).where(ReservationRow.run_id == run_id)
        if left := list((await self._session.exec(query)).all()):
            await self._remove(left)

    async def ended_holders(self) -> list[str]:
        """The runs that have ended, or are gone, and hold room all the same."""
        held = select(column(ReservationRow.run_id)).where(ReservationRow.run_id != "").distinct()
        query = held.join(RunRow, col(RunRow.id) == col(ReservationRow.run_id), isouter=True)
        final = [state.value for state in FINAL_RUN_STATES]
        return list(
            (await self._session.exec(query.where(or_(col(RunRow.id).is_(None), col(RunRow.state).in_(final))))).all()
        )

    async def used_by(self, keys: Sequence[StepKey]) -> dict[str, Use]:
        """The room of these tries, by their nodes."""
        row, found = ReservationRow, dict[str, Use]()
        ids = [str(key) for key in keys]
        query = select(row).where(row.owner_kind == OWNER_KIND, col(row.owner_id).in_(ids))
        for held in (await self._session.exec(query)).all() if ids else ():
            old = found.get(held.node_id, Use())
            more = {held.gpu_vendor: old.gpus.get(held.gpu_vendor, 0) + held.gpu_count} if held.gpu_count else {}
            gpus = {**old.gpus, **more}
            found[held.node_id] = Use(
                old.cpus + held.cpus, old.memory_bytes + held.memory_bytes, old.pids + held.pids, gpus
            )
        return found

    async def waiting_runs(self, node_id: str, limit: int) -> list[str]:
        """The oldest runs that have a step which waits for room on the node."""
        query = select(column(StepRow.run_id)).where(
            StepRow.node_id == node_id,
            StepRow.state == StepState.WAITING_NODE.value,
            col(StepRow.message).startswith(ROOM_WAIT, autoescape=True),
        )
        return list((await self._session.exec(query.distinct().order_by(col(StepRow.run_id)).limit(limit))).all())

    async def _remove(self, ids: Sequence[str]) -> None:
        await self._session.flush()
        connection = await self._session.connection()
        for table in (_PORTS, _RESERVATIONS):
            mine = (table.c.owner_kind == OWNER_KIND, table.c.owner_id.in_(ids))
            await connection.execute(delete(table).where(*mine))


def _values(room: StepRoom, gpus: GivenGpus) -> dict[str, Any]:
    demand = room.demand
    return {
        "owner_kind": OWNER_KIND,
        "owner_id": str(room.key),
        "node_id": room.node,
        "run_id": room.key.run_id,
        "cpus": demand.cpus,
        "memory_bytes": demand.memory_bytes,
        "pids": demand.pids,
        "gpu_vendor": gpus.vendor,
        "gpu_count": gpus.count,
        "gpus": list(gpus.ids),
        "created_at": utc_now(),
    }
