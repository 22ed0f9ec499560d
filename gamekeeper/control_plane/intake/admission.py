"""Admission: checks that every node of a run exists, is not disabled, and that its policy allows every container."""

from __future__ import annotations

from collections.abc import Sequence

from gamekeeper.db.models import NodeRow
from gamekeeper.db.repositories.node import node_view
from gamekeeper.domain.language.problem import Path, ProblemList, did_you_mean
from gamekeeper.domain.language.resolved import ResolvedPipeline, ResolvedStep
from gamekeeper.domain.language.source import Document
from gamekeeper.domain.node.node import NodeMode, NodeView
from gamekeeper.domain.node.policy import NodePolicy
from gamekeeper.errors import SpecError


def admit(
    resolved: ResolvedPipeline, rows: Sequence[NodeRow], known_ids: Sequence[str], document: Document
) -> dict[str, NodeView]:
    """Returns each node of the run as known. Raises SpecError with a problem for each step that can't go there."""
    problems = ProblemList(document.positions)
    by_id = {row.id: row for row in rows}
    for key, steps in (("steps", resolved.steps), ("finally", resolved.finally_)):
        for index, step in enumerate(steps):
            _admit_step(step, (key, index), by_id, known_ids, problems)
    if problems.problems:
        raise SpecError(problems.problems)
    return {row.id: node_view(row) for row in rows}


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
    if row.policy is not None:
        policy = NodePolicy.model_validate(row.policy)
        for violation in policy.violations(step.container):
            message = violation.message
            hint = "no policy can allow it: leave it out"
            if violation.line:
                message = f'step "{step.name}": {message} of {row.id}'
                hint = f"its owner may allow it by the line `{violation.line}` in the policy file on {row.id}"
            problems.add((*path, "container", *violation.path), "policy", message, hint)
