"""Nodes for steps that describe theirs by labels, chosen when a run is accepted. Nothing is promised to them.

Steps of a run share a workspace and a network on one node, so those of one description go to one node, unless they
are to be spread or packed. What passes, as a node that is away, is waited for when the step's turn comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.placement.candidates import Fleet, load_fleet, with_names
from gamekeeper.db.models import InstanceRow
from gamekeeper.db.repositories.reservation import ReservationRepository
from gamekeeper.domain.access.access import Scope
from gamekeeper.domain.access.bounds import Bounds
from gamekeeper.domain.language.node_choice import NodeSelector
from gamekeeper.domain.language.problem import Path, ProblemList
from gamekeeper.domain.language.resolved import ResolvedPipeline, ResolvedStep
from gamekeeper.domain.language.source import Document
from gamekeeper.domain.node.ability import abilities_for
from gamekeeper.domain.node.demand import demand_of_step, where_of
from gamekeeper.domain.node.node import NodeMode, NodeStatus
from gamekeeper.domain.node.placement import Candidate, Neighbour, Unplaced, Use, can_ever_fit, rank
from gamekeeper.domain.node.placement_words import told
from gamekeeper.errors import SpecError

Neighbours = Mapping[str, Sequence[Neighbour]]  # by their node


async def place_steps(
    session: AsyncSession, resolved: ResolvedPipeline, document: Document, allowed: Scope, sight: Bounds
) -> dict[str, str]:
    """The node of each step that has a selector, by the step's name. A service that outlives its run stays where its
    instance is. ``allowed`` are the nodes that there are for who asks, ``sight`` what they may be told of. Raises
    SpecError with a problem for each step that no node can ever take."""
    steps = [(path, step, step.selector) for path, step in _steps(resolved) if step.selector is not None]
    instances = await _instances(session, [step for _, step, _ in steps])
    run = _Run(await load_fleet(session), instances, allowed)
    for _, _, selector in steps:
        key = str(selector.anti_affinity)
        if selector.anti_affinity and key not in run.apart:
            found = await ReservationRepository(session).instances("", selector.anti_affinity)
            run.apart[key] = await with_names(session, found, sight)
    problems = ProblemList(document.positions)
    await asyncio.to_thread(run.place_all, steps, problems)
    if problems.problems:
        raise SpecError(problems.problems)
    return run.placed


@dataclass
class _Run:
    """The steps of one run, one after another. ``apart`` has the instances that some selector keeps away from."""

    fleet: Fleet
    instances: Mapping[str, str]
    allowed: Scope
    apart: dict[str, Neighbours] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)
    groups: dict[str, dict[str, list[Neighbour]]] = field(default_factory=dict)

    def place_all(self, steps: Sequence[tuple[Path, ResolvedStep, NodeSelector]], problems: ProblemList) -> None:
        for path, step, selector in steps:
            group = selector.model_dump_json()
            node = self.instances.get(step.instance.id) if step.instance is not None else None
            answer = node or self._choose(step, selector, group)
            if isinstance(answer, Unplaced):
                message = f'step "{step.name}" fits on no node: {told(answer.why)}'
                hint = "gamekeeper node show NODE tells its room and labels"
                problems.add((*path, "node"), "never_fits", message, hint)
            else:
                self.placed[step.name] = answer
                beside = self.groups.setdefault(group, {}).setdefault(answer, [])
                beside.append(Neighbour(step.name, group=group))

    def _choose(self, step: ResolvedStep, selector: NodeSelector, group: str) -> str | Unplaced:
        demand = demand_of_step(step.spec, replace(where_of(selector, group), allowed=self.allowed))
        demand = replace(demand, abilities=abilities_for(step))
        own, apart = self.groups.get(group, {}), self.apart.get(str(selector.anti_affinity), {})
        candidates = [
            replace(candidate, neighbours=[*own.get(candidate.id, ()), *apart.get(candidate.id, ())])
            for candidate in self.fleet.candidates(demand.where, step.spec)
        ]
        if (never := can_ever_fit(demand, candidates)) is not None:
            return never
        fits, _ = rank(demand, candidates)
        if not fits:
            fits, why = rank(demand, [_as_if_free(candidate) for candidate in candidates])
        return fits[0].id if fits else Unplaced(why)


def _as_if_free(candidate: Candidate) -> Candidate:
    """For want of a node that takes the step now, which then waits. A disabled one would refuse it."""
    status = candidate.status if candidate.status.reachable else NodeStatus.SUSPECT
    mode = candidate.mode if candidate.mode is NodeMode.DISABLED else NodeMode.ACTIVE
    return replace(candidate, mode=mode, status=status, used=Use(), troubles=())


def _steps(resolved: ResolvedPipeline) -> Iterator[tuple[Path, ResolvedStep]]:
    """Each step with its path in the document."""
    for key, steps in (("steps", resolved.steps), ("finally", resolved.finally_)):
        for index, step in enumerate(steps):
            yield (key, index), step


async def _instances(session: AsyncSession, steps: Sequence[ResolvedStep]) -> dict[str, str]:
    """The nodes of the instances that there are already, by their ids."""
    ids = [step.instance.id for step in steps if step.instance is not None]
    if not ids:
        return {}
    query = select(InstanceRow.id, InstanceRow.node_id)
    found = await session.exec(query.where(col(InstanceRow.id).in_(ids), col(InstanceRow.deleted_at).is_(None)))
    return dict(found.all())
