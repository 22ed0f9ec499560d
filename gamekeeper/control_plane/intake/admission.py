"""Admission: checks that every node of a run exists, is not disabled, and that its policy allows every container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from gamekeeper.control_plane.instance.taken import check_is_free
from gamekeeper.control_plane.placement.step_room import short_ever
from gamekeeper.db.models import InstanceRow, NodeRow
from gamekeeper.db.repositories.node import node_view
from gamekeeper.db.repositories.target import TargetRepository, target_of
from gamekeeper.domain.access.access import Scope
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.language.check_step import check_side_by_side
from gamekeeper.domain.language.problem import Path, ProblemList, did_you_mean
from gamekeeper.domain.language.resolved import ResolvedPipeline, ResolvedStep
from gamekeeper.domain.language.source import Document
from gamekeeper.domain.language.step import Strategy
from gamekeeper.domain.language.values import has_template
from gamekeeper.domain.node.ability import abilities_for, missing
from gamekeeper.domain.node.judgement import Subject
from gamekeeper.domain.node.node import NodeMode, NodeView
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.domain.run.step_room import room_of
from gamekeeper.errors import ConflictError, SpecError


def admit(
    resolved: ResolvedPipeline,
    rows: Sequence[NodeRow],
    known_ids: Sequence[str],
    document: Document,
    caller: str | None,
) -> dict[str, NodeView]:
    """Returns each node of the run as known. Raises SpecError with a problem for each step that can't go there."""
    problems = ProblemList(document.positions)
    by_id = {row.id: row for row in rows}
    for key, steps in (("steps", resolved.steps), ("finally", resolved.finally_)):
        for index, step in enumerate(steps):
            _admit_step(step, (key, index), by_id, known_ids, problems)
            subject = Subject(resolved.name, step.instance.id if step.instance is not None else "", caller)
            _judge_step(step, subject, (key, index), by_id.get(step.node), problems)
    if problems.problems:
        raise SpecError(problems.problems)
    return {row.id: node_view(row) for row in rows}


def admit_instances(
    resolved: ResolvedPipeline, rows: Mapping[str, InstanceRow], scope: Scope, sees: Scope, problems: ProblemList
) -> None:
    """Adds a problem for each step whose instance is not its pipeline's, or is somewhere else. One outside of the scope
    is not taken over: its logs and volumes are still under its id. Of one that nobody ``sees`` no more is told than
    that its id is taken, or was."""
    for index, step in enumerate(resolved.steps):
        if step.instance is not None and step.instance.strategy is Strategy.BLUE_GREEN:
            check_side_by_side(step.spec, ("steps", index), problems)
        row = rows.get(step.instance.id) if step.instance is not None else None
        if row is not None and row.pipeline != resolved.name and not scope.covers(target_of(row)):
            _add_taken(row, index, problems)
            continue
        if row is None or row.deleted_at is not None:
            continue
        try:
            check_is_free(row, resolved.name, step.node)
        except ConflictError as error:
            if sees.covers(target_of(row)):
                problems.add(("steps", index, "instance"), error.code, error.message, error.hint)
            else:
                _add_taken(row, index, problems)


def _add_taken(row: InstanceRow, index: int, problems: ProblemList) -> None:
    message = f'the id "{row.id}" of an instance is taken, or was'
    problems.add(("steps", index, "instance"), "id_taken", message, "choose another id")


async def check_groups(session: AsyncSession, resolved: ResolvedPipeline, scope: Scope, problems: ProblemList) -> None:
    """Adds a problem for the first step whose instance would come into a group with instances that are neither of the
    scope nor its pipeline's: the members of a group reach one another."""
    if scope.is_everything:
        return
    for index, step in enumerate(resolved.steps):
        group = step.instance.group if step.instance is not None else ""
        if group and await TargetRepository(session).group_has_others(group, scope, resolved.name):
            message = f'the group "{group}" of its instance has instances of somebody else'
            problems.add(("steps", index, "instance"), "group_taken", message, "give the pipeline another name")
            return  # the instances of a pipeline share a group


def _check_room(step: ResolvedStep, path: Path, row: NodeRow, problems: ProblemList) -> None:
    """Adds a problem where the node could not take the step if it were empty. A template is looked at later, before
    the start."""
    if any(has_template(text) for text in step.spec.ports):
        return
    room = room_of(StepKey(run_id="", step=step.name, try_=1), row.id, step.spec)
    if short := short_ever(room, row):
        hint = f"gamekeeper node show {row.id} tells its room"
        problems.add(
            (*path, "container"), "never_fits", f'step "{step.name}" never fits on node {row.id}: {short}', hint
        )


def _admit_step(
    step: ResolvedStep, path: Path, rows: dict[str, NodeRow], known_ids: Sequence[str], problems: ProblemList
) -> None:
    if step.container is None:
        return  # an approval is on no node
    row = rows.get(step.node)
    if row is None:
        hint = did_you_mean(step.node, known_ids) or "gamekeeper node add creates one"
        problems.add((*path, "node"), "unknown_node", f'node "{step.node}" has never registered', hint)
        return
    if row.mode == NodeMode.DISABLED.value:
        hint = f"gamekeeper node edit {row.id} --mode active"
        problems.add((*path, "node"), "node_disabled", f'node "{row.id}" is disabled', hint)
    if short := missing(abilities_for(step), row.system.get("abilities"), row.agent_version):
        problems.add((*path, "node"), "agent_too_old", f'node "{row.id}": {short}', "see docs/upgrading.md")
    _check_room(step, path, row, problems)


def _judge_step(step: ResolvedStep, subject: Subject, path: Path, row: NodeRow | None, problems: ProblemList) -> None:
    """Adds what the node's policy forbids, as the node told it last; the node judges again."""
    if step.container is None or row is None or row.policy is None:
        return
    policy = NodePolicy.model_validate(row.policy)
    for violation in policy.violations(step.container, subject):
        message, hint = violation.message, policy.advice(violation, row.id)
        if violation.line:
            message = f'step "{step.name}": {message} of {row.id}'
        problems.add((*path, "container", *violation.path), "policy", message, hint)
