"""Nodes: what operators do with them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from api.services.label import label_pair
from gamekeeper.control_plane.placement.room import rooms_of
from gamekeeper.counted import counted
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import ContainerRow, EnrolmentTokenRow, NodeRow, StepRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.page import Page
from gamekeeper.domain.access.access import Access, Scope
from gamekeeper.domain.access.labels import check_labels
from gamekeeper.domain.access.sight import Sight
from gamekeeper.domain.access.target import Target
from gamekeeper.domain.access.verb import ObjectKind
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.node.node import NodeMode, NodeStatus
from gamekeeper.domain.node.port_range import HIGHEST, NODE_RANGE
from gamekeeper.domain.node.room import Room
from gamekeeper.errors import ConflictError, InvalidError, PreconditionError
from gamekeeper.keys import PIN_MARK, TOKEN_PREFIX, hash_key, new_key

TOKEN_LIFETIME = timedelta(minutes=10)
MAX_TOKEN_LIFETIME = timedelta(hours=24)
SHOWN = 5  # names in a message
ENDING_SECONDS = 3  # for steps of a node that is removed by force; it is to be out within 5 s
ENDING_LOOK_SECONDS = 0.1

NodeChanged = Callable[[str], Awaitable[None]]


class NodeService:
    """``changed`` is told of a node whose mode changed or that was removed, after it is in the database.

    ``ask_for_reports`` asks a connected agent, and says whether there is one. ``removed`` hears of a node that is gone.
    ``pin`` is the CA's, which enrolment tokens carry.
    """

    def __init__(
        self,
        database: Database,
        changed: NodeChanged,
        ask_for_reports: Callable[[str], bool],
        removed: Callable[[str], None],
        pin: Callable[[], str],
    ) -> None:
        self._pin = pin
        self._removed = removed
        self._database = database
        self.odd_rows = database.odd_rows
        self._changed = changed
        self._ask_for_reports = ask_for_reports

    async def create(self, fields: dict[str, Any]) -> NodeRow:
        row = NodeRow(**fields)
        row.name = row.name or row.id
        async with self._database.write() as session:
            nodes = NodeRepository(session)
            if await nodes.find(row.id) is not None:
                raise ConflictError(f'there is a node "{row.id}" already', hint=f"gamekeeper node show {row.id}")
            nodes.add(row)
            record(session, Event(kind=EventKind.NODE_CREATED, node=row.id))
        return row

    async def get(self, node_id: str) -> NodeRow:
        async with self._database.read() as session:
            return await NodeRepository(session).get(node_id)

    async def page(
        self, scope: Scope, *, status: str | None, mode: str | None, label: str | None, cursor: str | None, limit: int
    ) -> Page[NodeRow]:
        pair = label_pair(label) if label else None
        async with self._database.read() as session:
            return await NodeRepository(session).page(
                status=status, mode=mode, label=pair, scope=scope, cursor=cursor, limit=limit
            )

    async def edit(self, node_id: str, fields: dict[str, Any], if_match: int | None, access: Access) -> NodeRow:
        """Raises PreconditionError when ``if_match`` names another version than the stored one, and ForbiddenError for
        labels that ``access`` may not give it."""
        async with self._database.write() as session:
            row = await NodeRepository(session).get(node_id)
            if "labels" in fields:
                check_labels(access, Target(ObjectKind.NODE, row.id, row.labels), fields["labels"])
            _match(row, if_match)
            mode_before = row.mode
            changes = {
                name: [getattr(row, name), value] for name, value in fields.items() if getattr(row, name) != value
            }
            for name, value in fields.items():
                setattr(row, name, value)
            if row.mode != mode_before:
                row.drain_until = None  # the operator has decided otherwise
            _check_ports(row.capacity_override)
            if changes:
                message = f"mode {mode_before} -> {row.mode}" if row.mode != mode_before else ", ".join(changes)
                record(session, Event(kind=EventKind.NODE_EDITED, node=node_id, message=message, data=changes))
            row.version += 1
            row.updated_at = utc_now()
        if row.mode != mode_before:
            await self._changed(node_id)
        return row

    async def rooms(self, rows: Sequence[NodeRow]) -> dict[str, Room]:
        """The room of each node, by its id."""
        async with self._database.read() as session:
            return await rooms_of(session, rows)

    async def delete(self, node_id: str, if_match: int | None, *, force: bool) -> None:
        """Raises ConflictError while steps live on the node or services are to stay there, unless forced.

        Forced, it stops the steps first, and leaves the services running on a machine that is no node any more. Steps
        that don't end within ``ENDING_SECONDS`` end by the silence of their node, which is out by then.
        """
        async with self._database.write() as session:
            nodes = NodeRepository(session)
            row = await nodes.get(node_id)
            _match(row, if_match)
            live = await nodes.live_steps(node_id)
            staying = await nodes.staying_containers(node_id)
            instances = await InstanceRepository(session).on_node(node_id)
            if not force:
                _check_unused(node_id, live, staying)
                _check_no_instances(node_id, instances)
            row.mode = NodeMode.DISABLED.value
        if live:
            await self._changed(node_id)
        if live and NodeStatus(row.status).reachable:
            await self._until_ended(node_id)
        async with self._database.write() as session:
            nodes = NodeRepository(session)
            await nodes.delete(await nodes.get(node_id))
            left = [*staying, *(f"instance {name}" for name in instances)]
            reason = "forced" if live or left else ""
            message = f"left on its machine: {_some(left)}" if left else ""
            record(session, Event(kind=EventKind.NODE_REMOVED, node=node_id, reason=reason, message=message))
        self._removed(node_id)
        if instances:  # whose actions would wait for it
            await self._changed(node_id)

    async def _until_ended(self, node_id: str) -> None:
        """The agent stops its containers and tells their ends with the certificate that the removal makes void."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING_SECONDS):
                while True:
                    async with self._database.read() as session:
                        if not await NodeRepository(session).live_steps(node_id):
                            return
                    await asyncio.sleep(ENDING_LOOK_SECONDS)

    async def new_token(self, node_id: str, lifetime: timedelta) -> tuple[str, datetime]:
        """A one-time enrolment token and when it expires. It is shown this once, with the CA's pin behind it."""
        token = new_key(TOKEN_PREFIX)
        expires_at = utc_now() + lifetime
        async with self._database.write() as session:
            nodes = NodeRepository(session)
            await nodes.get(node_id)
            nodes.add_token(EnrolmentTokenRow(token_hash=hash_key(token), node_id=node_id, expires_at=expires_at))
            record(
                session,
                Event(kind=EventKind.NODE_TOKEN_MADE, node=node_id, message=f"good until {expires_at:%H:%M:%S} UTC"),
            )
        return f"{token}{PIN_MARK}{self._pin()}", expires_at

    async def containers(self, node_id: str, sight: Sight) -> list[ContainerRow]:
        """Those of runs that ``sight`` shows."""
        async with self._database.read() as session:
            nodes = NodeRepository(session)
            await nodes.get(node_id)
            return await nodes.containers(node_id, sight.pipelines)

    async def refresh(self, node_id: str) -> None:
        """Raises ConflictError when the node's agent is not connected."""
        await self.get(node_id)
        if not self._ask_for_reports(node_id):
            raise ConflictError(f'the agent of node "{node_id}" is not connected', hint="it reports when it is back")

    async def count_by_status(self) -> dict[str, int]:
        async with self._database.read() as session:
            found = Counter((await NodeRepository(session).statuses()).values())
        return {status.value: found[status.value] for status in NodeStatus}


def _check_ports(override: Mapping[str, int]) -> None:
    first, last = override.get("port_first", NODE_RANGE.first), override.get("port_last", NODE_RANGE.last)
    if not 1 <= first <= last <= HIGHEST:
        raise InvalidError(
            f"the ports {first}-{last} are no range", hint=f"port_first and port_last are 1 to {HIGHEST}, in this order"
        )


def _check_unused(node_id: str, live: Sequence[StepRow], staying: Sequence[str]) -> None:
    if live:
        named = _some([f"{step.run_id}/{step.name}" for step in live])
        raise ConflictError(
            f'node "{node_id}" has {counted(len(live), "live step")}: {named}',
            hint="wait for them, cancel their runs, or force it (which stops them)",
        )
    if staying:
        raise ConflictError(
            f'node "{node_id}" has {counted(len(staying), "service")} that nobody would look after: {_some(staying)}',
            hint=f"end their runs, or remove them on the machine (docker rm -f {' '.join(staying[:SHOWN])}); "
            "or force it, which leaves them running there",
        )


def _check_no_instances(node_id: str, instances: Sequence[str]) -> None:
    if instances:
        many = counted(len(instances), "instance")
        raise ConflictError(
            f'node "{node_id}" has {many} that nobody would look after: {_some(instances)}',
            hint=f"remove them (gamekeeper instance rm {instances[0]}); or force it, which leaves them on its machine",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _match(row: NodeRow, if_match: int | None) -> None:
    if if_match is not None and if_match != row.version:
        raise PreconditionError(
            f'node "{row.id}" is at version {row.version}, not {if_match}', hint="read it again, then repeat"
        )
