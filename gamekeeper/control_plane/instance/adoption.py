"""Services of the time before instances: those that live on a node under Docker's own restart policy become instances.

Their containers are not touched. The keeper takes them over as they run, and what they log goes on under their step
until there is a further revision.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.instance.accept import new_operation
from gamekeeper.control_plane.placement.instance import place_instance
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import ContainerRow, InstanceRevisionRow, InstanceRow, RunRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.instance import ADOPTED_BY, InstanceRepository
from gamekeeper.db.repositories.run import RunRepository
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.domain.instance.control import InstanceAction
from gamekeeper.domain.instance.spec import InstanceSpec, Restart, RestartPolicy
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.language.values import DNS_LABEL, has_template
from gamekeeper.domain.node.demand import Where
from gamekeeper.errors import ConflictError, InvalidError

BY = ADOPTED_BY
MAX_ID = 63


@dataclass(frozen=True)
class Adopted:
    """A service that became an instance."""

    instance: str
    key: StepKey


class InstanceAdoption:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self) -> list[ContainerRow]:
        """Containers of services that outlive their runs and are no instance yet, as their nodes last told of them."""
        async with self._database.read() as session:
            return await InstanceRepository(session).unadopted()

    async def adopt(self, container: ContainerRow) -> Adopted:
        """Writes the instance of a service. Raises InvalidError for one whose settings nobody knows any more."""
        key = StepKey(run_id=container.run_id, step=container.step, try_=container.try_number)
        async with self._database.write() as session:
            run = await RunRepository(session).find_whole(key.run_id)
            if run is None:
                raise InvalidError(f"there is no run {key.run_id}")
            instances = InstanceRepository(session)
            row = InstanceRow(
                id=await _free_id(instances, f"{run.pipeline}-{key.step}", key.run_id),
                node_id=container.node_id,
                revision=1,
                operation=new_operation(InstanceAction.CREATE, BY, utc_now()) | {"adopted": str(key)},
                pipeline=run.pipeline,
                step=key.step,
                run_id=run.id,
                created_by=BY,
                owner=run.owner,
            )
            row.name = row.id
            row.revision = await instances.newest_revision(row.id) + 1
            spec = await _placed(session, row, _spec(run, container))
            instances.add(row)
            await session.flush()
            instances.add_revision(_revision(row, spec, run.caller))
            message = f"adopted: {container.name}, as it runs"
            kind, actor = EventKind.INSTANCE_CREATED, BY
            record(
                session,
                Event(kind=kind, node=row.node_id, instance=row.id, run=run.id, message=message, actor=actor),
            )
        return Adopted(row.id, key)


def _revision(row: InstanceRow, spec: InstanceSpec, caller: str) -> InstanceRevisionRow:
    return InstanceRevisionRow(
        instance_id=row.id,
        revision=row.revision,
        spec=spec.model_dump(mode="json", exclude_unset=True),
        run_id=row.run_id,
        created_by=BY,
        caller=caller,
    )


async def _placed(session: AsyncSession, row: InstanceRow, spec: InstanceSpec) -> InstanceSpec:
    """The spec with its room promised. It runs there already, so one for which there is no room stays without."""
    try:
        return (await place_instance(session, row.id, spec, Where(node=row.node_id))).spec
    except (ConflictError, InvalidError):
        return spec


async def _free_id(instances: InstanceRepository, wanted: str, run_id: str) -> str:
    base = wanted[:MAX_ID].strip("-")
    for name in (base, f"{base[: MAX_ID - 9].strip('-')}-{run_id[-8:]}".lower()):
        if DNS_LABEL.fullmatch(name) and await instances.find_whatever(name) is None:
            return name
    raise InvalidError(f'the ids that a service "{wanted}" could have are taken')


def _spec(run: RunRow, container: ContainerRow) -> InstanceSpec:
    """The settings of the step. What a template gave it is not known any more: of the environment it is left out."""
    steps = ResolvedPipeline.model_validate(run.resolved).all_steps()
    found = next((step.container for step in steps if step.name == container.step), None)
    if found is None:
        raise InvalidError(f'run {run.id} has no step "{container.step}" with a container')
    known = {name: text for name, text in found.environment.items() if not has_template(text)}
    image = container.image if has_template(found.image) else found.image
    made = found.model_copy(update={"image": image, "environment": known, "restart": "no"})
    if "${{" in made.model_dump_json():
        raise InvalidError(f'step "{container.step}" of run {run.id} was filled in by its run')
    return InstanceSpec(
        container=Container.model_validate(made.model_dump(exclude_unset=True)), restart=_restart(found)
    )


def _restart(container: Container) -> Restart:
    """Docker's policy in the keeper's words."""
    policy, _, attempts = container.restart.partition(":")
    if policy == "on-failure":
        return Restart(attempts=int(attempts)) if attempts else Restart()
    return Restart(policy=RestartPolicy.NO if policy == "no" else RestartPolicy.ALWAYS)
