"""Answers where an instance would be placed."""

from __future__ import annotations

from gamekeeper.control_plane.instance.plan import InstanceSubmission, plan_instance, where_to
from gamekeeper.control_plane.placement.attempt import Attempt, attempt
from gamekeeper.control_plane.placement.instance import owner_of
from gamekeeper.db.engine import Database
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.access.bounds import sight_bounds
from gamekeeper.domain.node.demand import demand_of


class PlacementService:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def attempt(self, submission: InstanceSubmission, access: Access) -> Attempt:
        """Among the nodes that ``access`` sees. Writes nothing. Raises SpecError with every problem of the document,
        and of the node that it names."""
        sight = sight_bounds(access)
        plan = await plan_instance(submission)
        async with self._database.read() as session:
            demand = demand_of(plan.spec.container, await where_to(session, plan, sight.nodes, sight))
            return await attempt(session, demand, plan.spec.container, owner_of(plan.id))
