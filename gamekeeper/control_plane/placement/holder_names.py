"""Names of those who hold room on a node, as far as whoever is told of them may see them.

Room is everybody's matter: who asks for a port hears that it is taken. By whom is for those alone who see the holder.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.access.owner import access_of_owner
from gamekeeper.db.repositories.instance import InstanceRepository
from gamekeeper.db.repositories.reservation import INSTANCE, Owner
from gamekeeper.db.repositories.target import TargetRepository
from gamekeeper.domain.access.bounds import Bounds, sight_bounds
from gamekeeper.domain.container.container_key import StepKey

_INSTANCE, _STEP = "another instance", "a step of a run"


async def holder_names(session: AsyncSession, holders: Collection[Owner], sight: Bounds) -> dict[Owner, str]:
    """Each of the holders in words."""
    if sight.is_everything:
        return {holder: str(holder) for holder in holders}
    targets, instances, runs = TargetRepository(session), set[str](), dict[str, str]()
    for holder in holders:
        if holder.kind == INSTANCE:
            instances.add(holder.id)
        else:
            runs[holder.id] = StepKey.parse(holder.id).run_id
    seen = {
        *(id_ for id_, found in (await targets.instances(instances)).items() if sight.instances.covers(found)),
        *(id_ for id_, found in (await targets.runs(set(runs.values()))).items() if sight.pipelines.covers(found)),
    }
    return {
        holder: str(holder)
        if runs.get(holder.id, holder.id) in seen
        else (_INSTANCE if holder.kind == INSTANCE else _STEP)
        for holder in holders
    }


async def sight_of_run(session: AsyncSession, run_id: str) -> Bounds:
    """The sight of whoever asked for the run."""
    return sight_bounds(await access_of_owner(session, await InstanceRepository(session).owner_of_run(run_id)))
