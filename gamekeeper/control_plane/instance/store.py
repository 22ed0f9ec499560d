"""The read model behind the activities of an instance's workflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.access.owner import access_of_owner
from gamekeeper.control_plane.instance.observe import observe
from gamekeeper.control_plane.instance.quota import within_quota
from gamekeeper.control_plane.instance.schedule import note_end, note_replaced
from gamekeeper.control_plane.placement.instance import place_instance, release_instance, settle_instance
from gamekeeper.control_plane.secret.naming import named_by
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import InstanceRevisionRow, InstanceRow
from gamekeeper.db.models.columns import storable, utc_now
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.instance_schedule import InstanceScheduleRepository
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.db.repositories.secret_use import SecretUseRepository
from gamekeeper.domain.access.bounds import Bounds, sight_bounds
from gamekeeper.domain.access.grant import holder
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.control import ActionBegin, ActionBegun, ActionFinish, InstanceAction
from gamekeeper.domain.instance.side_by_side import GPU_HINT, clashing_gpus, clashing_ports
from gamekeeper.domain.instance.spec import InstanceSpec
from gamekeeper.domain.instance.state import Desired, InstanceReason, InstanceState
from gamekeeper.domain.language.step import Strategy
from gamekeeper.domain.node.demand import Where
from gamekeeper.domain.node.node import NodeMode
from gamekeeper.errors import ConflictError, NotFoundError

_QUIET = (InstanceAction.CREATE, InstanceAction.REVERT)  # told by events of their own


class SqlInstanceStore:
    """InstanceStore on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, asked: ActionBegin) -> ActionBegun:
        async with self._database.write() as session:
            row = await _row_of(session, asked)
            with _the_row_is_there():
                if (row.operation or {}).get("token") != asked.token:
                    await self._note(session, row, asked)
                return await self._begun(session, row)

    async def _note(self, session: AsyncSession, row: InstanceRow, asked: ActionBegin) -> None:
        before = row.running_revision if _goes_on_before(row) else row.revision  # a revert goes back to what runs
        earlier, left = row.operation or {}, row.revision
        await note_replaced(session, row, f"{asked.action} by {asked.by or 'system'}")
        async with await _asked_of_quota(session, row, asked):
            row.revision = await self._revision(session, row, asked)
        current = await InstanceRepository(session).get_revision(row.id, row.revision)
        row.group = InstanceSpec.model_validate(current.spec).group or ""  # for whoever looks for its members
        row.desired = asked.desired.value
        row.serial = max(asked.serial, row.serial + 1, row.reported_serial + 1)
        row.held = await _held(session, row)
        row.started_workflow = True
        row.operation = {
            "action": asked.action.value,
            "by": asked.by,
            "reason": asked.reason,
            "since": utc_now().isoformat(),
            "serial": row.serial,
            "before": before,
            "token": asked.token,
        }
        if adopted := earlier.get("adopted"):  # until the keeper has it
            row.operation["adopted"] = adopted
        if asked.desired is Desired.RUNNING and asked.run_id:
            row.run_id = asked.run_id
            if row.expires_at is not None and row.expires_at <= utc_now():  # its run wants it again, without an end
                row.expires_at = None
        _touch(row)
        for event in _events(row, asked, left):
            record(session, event)

    async def _revision(self, session: AsyncSession, row: InstanceRow, asked: ActionBegin) -> int:
        """The revision that is current from now on; a new one is written. Raises ConflictError for an unknown one."""
        instances, beside = InstanceRepository(session), _comes_beside(row, asked)
        if asked.spec is not None:
            number = await instances.newest_revision(row.id) + 1
            await _check_beside(session, row, asked.spec.asked, beside=beside)
            where = Where(node=row.node_id, sight=await _sight(session, asked))
            placed = await place_instance(session, row.id, asked.spec, where, beside=beside)
            if not asked.run_id:
                await _check_new(session, row, placed.spec)
            instances.add_revision(
                InstanceRevisionRow(
                    instance_id=row.id,
                    revision=number,
                    spec=placed.spec.model_dump(mode="json", exclude_unset=True),
                    run_id=asked.run_id,
                    created_by=asked.by,
                    caller=await instances.caller_of(asked.by, asked.run_id),
                )
            )
            await session.flush()
            names = named_by(placed.spec.container)
            await SecretUseRepository(session).note_revision(row.id, number, names)
            return number
        if asked.revision is None and asked.action is InstanceAction.ROLLBACK:
            earlier = await instances.revision_before(row.id, row.revision)
            if earlier is None:
                raise ConflictError(f'instance "{row.id}" has no revision before {row.revision}')
            return await self._older(session, row, earlier, asked, beside=beside)
        return await self._older(session, row, asked.revision or row.revision, asked, beside=beside)

    async def _older(
        self, session: AsyncSession, row: InstanceRow, number: int, asked: ActionBegin, *, beside: bool
    ) -> int:
        """A revision that there is, with its room."""
        found = await InstanceRepository(session).find_revision(row.id, number)
        if found is None:
            raise ConflictError(f'instance "{row.id}" has no revision {number}')
        if number != row.revision:
            spec = _numbered(InstanceSpec.model_validate(found.spec))  # it never changes
            await _check_beside(session, row, spec, beside=beside)
            where = Where(node=row.node_id, sight=await _sight(session, asked))
            await place_instance(session, row.id, spec, where, beside=beside)
        return number

    async def _begun(self, session: AsyncSession, row: InstanceRow) -> ActionBegun:
        revision = await InstanceRepository(session).get_revision(row.id, row.revision)
        node = await NodeRepository(session).find(row.node_id)
        return ActionBegun(
            serial=row.serial,
            revision=row.revision,
            before=(row.operation or {}).get("before", row.revision),
            spec=InstanceSpec.model_validate(revision.spec),
            held=InstanceReason(row.held) if row.held else None,
            node_is_there=node is not None,
            agent=node.agent_version if node is not None else "",
            caller=revision.caller,
        )

    async def finish(self, ended: ActionFinish) -> bool:
        async with self._database.write() as session:
            row = await _row_of(session, ended)
            with _the_row_is_there():
                await self._end(session, row, ended)
            return row.deleted_at is not None

    async def _end(self, session: AsyncSession, row: InstanceRow, ended: ActionFinish) -> None:
        if ended.outcome is not None:
            observe(session, row, ended.outcome.status, complete=_is_first_of(row, ended))
        if row.serial != ended.serial:
            return
        await note_end(session, row, ended)
        has_nothing, row.operation = _never_had(row), None
        if ended.outcome is None:
            node = await NodeRepository(session).find(row.node_id)
            _fail(session, row, ended, deletes=node is None or (ended.keeps_none and has_nothing))
        await self._give_back(session, row)
        _touch(row)

    async def _give_back(self, session: AsyncSession, row: InstanceRow) -> None:
        """The room that nothing needs any more: all of an instance that is gone, and what a change left over, also one
        that never came to its end."""
        if row.desired != Desired.REMOVED:
            if _goes_on_before(row):
                return  # and keeps its ports
            revision = await InstanceRepository(session).get_revision(row.id, row.revision)
            await settle_instance(session, row.id, InstanceSpec.model_validate(revision.spec))
        elif row.state == InstanceState.DELETED:
            row.deleted_at, row.idempotency_key = utc_now(), None
            await InstanceScheduleRepository(session).remove_all(row.id, row.deleted_at)
            await release_instance(session, row.id)


async def _row_of(session: AsyncSession, told: ActionBegin | ActionFinish) -> InstanceRow:
    """The row of the instance that is spoken of. Raises NotFoundError where it is gone, and where a new one has its id:
    what is told late, or once more, of the earlier one is nothing to that."""
    row = await InstanceRepository(session).get_locked(told.instance)
    if told.made is not None and row.created_at != told.made:
        raise NotFoundError(f'the instance "{told.instance}" of {told.made:%Y-%m-%d %H:%M:%S} UTC is gone')
    return row


async def _asked_of_quota(
    session: AsyncSession, row: InstanceRow, asked: ActionBegin
) -> AbstractAsyncContextManager[object]:
    """Its owner's quota bounds what an action takes. What runs goes on: a revert is never refused by it."""
    if asked.action is InstanceAction.REVERT:
        return nullcontext()
    comes_up = asked.desired is Desired.RUNNING and row.desired != Desired.RUNNING
    return within_quota(session, row.owner, await _asker(session, asked), comes_up=comes_up)


async def _asker(session: AsyncSession, asked: ActionBegin) -> str:
    """The id of whoever asked for the action, or for the run that did; of nobody for what a schedule does."""
    if asked.run_id:
        return await InstanceRepository(session).owner_of_run(asked.run_id)
    return holder(asked.by.partition(":")[0], asked.asker.id)


async def _sight(session: AsyncSession, asked: ActionBegin) -> Bounds:
    return sight_bounds(await access_of_owner(session, await _asker(session, asked)))


def _comes_beside(row: InstanceRow, asked: ActionBegin) -> bool:
    """True where both revisions run for a while."""
    runs = row.desired == Desired.RUNNING and not (
        InstanceState(row.state).is_settled and row.state != InstanceState.READY
    )
    return runs and asked.strategy is Strategy.BLUE_GREEN


def _goes_on_before(row: InstanceRow) -> bool:
    """True where the current revision could not take over, and another one runs in its place."""
    return row.running_revision not in (None, 0, row.revision) and InstanceState(row.state).is_up


@contextmanager
def _the_row_is_there() -> Iterator[None]:
    """Within it a NotFoundError is of something else, and must not be taken for the end of the instance."""
    try:
        yield
    except NotFoundError as error:
        raise ConflictError(error.message, hint=error.hint) from error


def _is_first_of(row: InstanceRow, ended: ActionFinish) -> bool:
    """True for an outcome of the newest order of which no report has come yet: it is news, whatever its number. A node
    that lost its disk meanwhile counts from 1 again."""
    return ended.outcome is not None and ended.outcome.status.serial == ended.serial != row.reported_serial


def _never_had(row: InstanceRow) -> bool:
    """True for an instance of which its node has nothing, as far as is known."""
    return row.reported_serial == 0 and not row.container_id and not (row.operation or {}).get("adopted")


async def _check_beside(session: AsyncSession, row: InstanceRow, spec: InstanceSpec, *, beside: bool) -> None:
    """Raises ConflictError for a port, or GPUs, that the revision which goes on for now has."""
    if not beside:
        return
    running = row.running_revision or row.revision
    before = InstanceSpec.model_validate((await InstanceRepository(session).get_revision(row.id, running)).spec)
    for message, hint in clashing_ports(before.container, spec.container).values():
        raise ConflictError(message, hint=hint, code="port_of_both")
    if message := clashing_gpus(before.container, spec.container):
        raise ConflictError(message, hint=GPU_HINT, code="gpu_of_both")


async def _check_new(session: AsyncSession, row: InstanceRow, spec: InstanceSpec) -> None:
    """Raises ConflictError for a revision that changes nothing. One of a run is made all the same."""
    current = InstanceSpec.model_validate((await InstanceRepository(session).get_revision(row.id, row.revision)).spec)
    if current.asked == spec.asked or _numbered(current) == _numbered(spec):
        raise ConflictError(
            f'revision {row.revision} of instance "{row.id}" is this already',
            hint=f"gamekeeper instance restart {row.id} starts it anew",
        )


def _numbered(spec: InstanceSpec) -> InstanceSpec:
    """The spec by its numbers alone, whether somebody or the node chose them."""
    return spec.model_copy(update={"asked_ports": []})


async def _held(session: AsyncSession, row: InstanceRow) -> str | None:
    """The reason why an instance that is wished to run may not do so now."""
    node = await NodeRepository(session).find(row.node_id)
    is_kept = row.desired == Desired.RUNNING and node is not None and node.mode == NodeMode.DISABLED
    return InstanceReason.NODE_DISABLED.value if is_kept else None


def _events(row: InstanceRow, asked: ActionBegin, left: int) -> list[Event]:
    """Events of a begun action; ``left`` was the current revision until then."""
    who = {"actor": asked.by, "actor_id": asked.asker.id, "address": asked.asker.address}
    place = {"node": row.node_id, "instance": row.id, "run": asked.run_id, **who}
    data = {"serial": row.serial, "revision": row.revision}
    found = []
    if asked.spec is not None:
        found.append(
            Event(kind=EventKind.INSTANCE_REVISION_MADE, message=f"revision {row.revision}", data=data, **place)
        )
    if asked.action is InstanceAction.REVERT:
        message = f"revision {left} -> {row.revision}: {asked.reason}"
        found.append(Event(kind=EventKind.INSTANCE_REVERTED, message=message, data=data, **place))
    elif asked.action is InstanceAction.REPEAT:
        found.append(
            Event(kind=EventKind.INSTANCE_DIFFERS, message="it gets its newest order again", data=data, **place)
        )
    elif asked.action not in _QUIET:
        reason = asked.reason[:40]
        found.append(
            Event(kind=EventKind.INSTANCE_ASKED, message=asked.action.value, reason=reason, data=data, **place)
        )
    return found


def _fail(session: AsyncSession, row: InstanceRow, ended: ActionFinish, *, deletes: bool) -> None:
    """An order that had no outcome: its node was removed, or refuses it. Where no node has the instance, its removal
    ``deletes`` the rows alone; one that a node refuses keeps its room, since its container is there."""
    if row.desired == Desired.REMOVED and deletes:
        row.state, row.reason = InstanceState.DELETED.value, None
        message = f"{ended.failure}; what was on its machine stays there" + (
            f": container {row.container_id[:12]}" if row.container_id else ""
        )
    else:
        row.state, row.reason = InstanceState.FAILED.value, InstanceReason.INTERNAL.value
        message = ended.failure
    row.message, row.since = storable(message), utc_now()
    kind = EventKind.of("instance", row.state)
    record(session, Event(kind=kind, node=row.node_id, instance=row.id, reason=row.reason or "", message=message))


def _touch(row: InstanceRow) -> None:
    row.version += 1
    row.updated_at = utc_now()
