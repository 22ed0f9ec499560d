"""SQL of promised room: who holds how much of each node, and which ports. Who reads to promise takes the lock first."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import and_, delete, func, or_
from sqlalchemy import select as select_columns
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.db.labels import has_label
from gamekeeper.db.models import ContainerRow, InstanceRow, PortReservationRow, ReservationRow
from gamekeeper.db.readable import column
from gamekeeper.db.repositories.run_group import lock_name
from gamekeeper.domain.node.placement import Neighbour, Use
from gamekeeper.domain.node.port_range import PortNumber

_PUBLISHED = re.compile(r":(\d+)->\d+/(\w+)$")  # of an agent's report, as 0.0.0.0:8303->8303/udp


INSTANCE = "instance"  # the kind of an owner; the other is a step's try


@dataclass(frozen=True)
class Owner:
    """The holder of room: ``instance`` and its id, or ``step`` and its try."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The owner that ``str`` made ``text`` of."""
        kind, _, id_ = text.partition(" ")
        return cls(kind, id_)


@dataclass(frozen=True)
class HeldPort:
    """``count`` numbers in a row, from ``number`` on; ``name`` is the port's own, or its number in the container."""

    name: str
    protocol: str
    number: int
    count: int


class ReservationRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock(self) -> None:
        """One placement at a time until the transaction's end, so that two never count on the same room."""
        await lock_name(self._session, "placement")

    async def find(self, owner: Owner) -> ReservationRow | None:
        return await self._session.get(ReservationRow, (owner.kind, owner.id))

    def add(self, row: ReservationRow | PortReservationRow) -> None:
        self._session.add(row)

    async def used(self, but: Owner | None = None, node_id: str | None = None) -> dict[str, Use]:
        """The promised room of each node, by its id; without that of one owner."""
        row = ReservationRow
        sums = [func.sum(getattr(row, name)) for name in ("cpus", "memory_bytes", "pids", "gpu_count")]
        query: Any = select_columns(column(row.node_id), column(row.gpu_vendor), *sums).group_by(
            col(row.node_id), col(row.gpu_vendor)
        )
        if but is not None:
            query = query.where(or_(col(row.owner_kind) != but.kind, col(row.owner_id) != but.id))
        if node_id is not None:
            query = query.where(row.node_id == node_id)
        found: dict[str, Use] = {}
        for node, vendor, cpus, memory, pids, gpus in (await self._session.exec(query)).all():
            old = found.get(node, Use())
            held = {**old.gpus, vendor: int(gpus)} if gpus else old.gpus
            found[node] = Use(old.cpus + float(cpus), old.memory_bytes + int(memory), old.pids + int(pids), held)
        return found

    async def ports(self, node_ids: Collection[str]) -> dict[str, dict[PortNumber, Owner]]:
        """The holders of all ports of these nodes."""
        row = PortReservationRow
        query: Any = select_columns(
            *(column(name) for name in (row.node_id, row.protocol, row.number, row.owner_kind, row.owner_id))
        )
        found: dict[str, dict[PortNumber, Owner]] = defaultdict(dict)
        for node, protocol, number, kind, id_ in await self._session.exec(query.where(col(row.node_id).in_(node_ids))):
            found[node][protocol, number] = Owner(kind, id_)
        return found

    async def gpus(self, node_ids: Collection[str]) -> dict[str, dict[str, Owner]]:
        """The holders of all GPUs of these nodes, by the ids of the GPUs."""
        row = ReservationRow
        query = select(row).where(col(row.node_id).in_(node_ids), row.gpu_count > 0)
        found: dict[str, dict[str, Owner]] = defaultdict(dict)
        for held in await self._session.exec(query):
            found[held.node_id] |= dict.fromkeys(held.gpus, Owner(held.owner_kind, held.owner_id))
        return found

    async def seen_ports(self, node_ids: Collection[str]) -> dict[str, set[PortNumber]]:
        """The ports that containers were last seen to publish on these nodes: of steps, and of what is older than its
        reservation. A report may be out of date, so this refuses nobody."""
        row = ContainerRow
        query = select(row.node_id, row.ports).where(col(row.node_id).in_(node_ids))
        found: dict[str, set[PortNumber]] = defaultdict(set)
        for node, texts in await self._session.exec(query):
            matches = [_PUBLISHED.search(str(text)) for text in texts]
            found[node].update((match[2], int(match[1])) for match in matches if match)
        return found

    async def port_counts(self, node_ids: Collection[str]) -> dict[str, int]:
        row = PortReservationRow
        query = select(row.node_id, func.count()).where(col(row.node_id).in_(node_ids)).group_by(col(row.node_id))
        return dict((await self._session.exec(query)).all())

    async def held_ports(self, kind: str, owner_ids: Collection[str]) -> dict[str, list[HeldPort]]:
        """The ports of each of the owners, by their ids, in order of their numbers."""
        row = PortReservationRow
        key = [column(name) for name in (row.owner_id, row.key, row.protocol)]
        first = func.min(row.number)
        query: Any = select_columns(*key, first, func.count()).group_by(*key).order_by(first, column(row.protocol))
        found: dict[str, list[HeldPort]] = defaultdict(list)
        wanted = query.where(row.owner_kind == kind, col(row.owner_id).in_(owner_ids))
        for owner, name, protocol, number, count in await self._session.exec(wanted):
            found[owner].append(HeldPort(name, protocol, number, count))
        return found

    async def ports_of(self, owner: Owner) -> Sequence[PortReservationRow]:
        row = PortReservationRow
        query = select(row).where(row.owner_kind == owner.kind, row.owner_id == owner.id)
        return (await self._session.exec(query.order_by(col(row.number), row.protocol))).all()

    async def remove_port(self, row: PortReservationRow) -> None:
        await self._session.delete(row)

    async def remove(self, owner: Owner) -> bool:
        """False where there was nothing."""
        ports, room = PortReservationRow, ReservationRow
        mine = (col(ports.owner_kind) == owner.kind, col(ports.owner_id) == owner.id)
        await self._session.exec(delete(ports).where(*mine))
        gone = delete(room).where(col(room.owner_kind) == owner.kind, col(room.owner_id) == owner.id)
        return bool((await self._session.exec(gone.returning(col(room.owner_id)))).all())

    async def instances(self, group: str, labels: Mapping[str, str]) -> dict[str, list[Neighbour]]:
        """The instances of each node that are of the group, or have all of the labels."""
        row = InstanceRow
        wanted = []
        if group:
            wanted.append(col(row.group) == group)
        if labels:
            each = [has_label(col(row.labels), key, value) for key, value in labels.items()]
            wanted.append(and_(*each))
        if not wanted:
            return {}
        query = select(row.node_id, row.id, row.labels, row.group).where(col(row.deleted_at).is_(None), or_(*wanted))
        found: dict[str, list[Neighbour]] = defaultdict(list)
        for node, id_, has, of_group in await self._session.exec(query.order_by(row.id)):
            found[node].append(Neighbour(str(Owner(INSTANCE, id_)), has, of_group))
        return found
