"""The things that runs wait for, in words: a node, an approval, a user's decision, or a place in a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gamekeeper.counted import counted
from gamekeeper.db.models import NodeRow, RunRow, StepRow
from gamekeeper.domain.language.approver import told
from gamekeeper.domain.language.step import StepType
from gamekeeper.domain.node.node import NodeMode, NodeStatus
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import ROOM_WAIT, StepState

_FOR_NODE = (StepState.WAITING_NODE, StepState.STARTING)


@dataclass(frozen=True)
class Waits:
    """``steps`` are those of open runs that wait, ``nodes`` theirs, ``busy`` the steps that go on at each. ``lost`` are
    the names of approvals that nobody can answer any more, as far as somebody looked."""

    steps: Sequence[StepRow] = ()
    nodes: Mapping[str, NodeRow] = field(default_factory=dict)
    busy: Mapping[str, int] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()

    def of_run(self, run: RunRow) -> str:
        """Empty for a run that waits for nothing. A run whose steps wait says what the first one waits for."""
        state = RunState(run.state)
        if state is RunState.PAUSED:
            return "for a user to resume it"
        if state is RunState.QUEUED:
            return run.message.removeprefix("waits ")
        waits = [(step.name, self.of_step(step)) for step in self.steps if step.run_id == run.id]
        told = [f"{name} waits {why}" for name, why in waits if why]
        if not told or state.is_final:
            return ""
        return told[0] + (f", and {len(told) - 1} more" if len(told) > 1 else "")

    def of_step(self, step: StepRow) -> str:
        """Empty for a step that waits for nothing."""
        state = StepState(step.state)
        if state is StepState.HELD:
            return f"for a user's decision{_until(step)}: {step.message or step.reason or 'it failed'}"
        if step.type == StepType.APPROVAL and state is StepState.RUNNING:
            return self._for_approval(step)
        if state is StepState.WAITING_NODE and step.message.startswith(ROOM_WAIT):
            return step.message.removeprefix("waits ")
        has_begun = step.phase and step.phase_try == step.try_number
        if state in _FOR_NODE and not has_begun and step.node_id in self.nodes:
            return self._for_node(self.nodes[step.node_id], state)
        return ""

    def _for_approval(self, step: StepRow) -> str:
        by = f" by {told(step.approvers)}" if step.approvers else ""
        lost = ", none of whom may approve any more (cancel the run, or this step)" if step.name in self.lost else ""
        return f"for an approval{by}{lost}{_until(step)}" + (f": {step.message}" if step.message else "")

    def _for_node(self, node: NodeRow, state: StepState) -> str:
        if node.mode == NodeMode.MAINTENANCE and state is StepState.WAITING_NODE:
            return f"for node {node.id}, in maintenance; gamekeeper node edit {node.id} --mode active"
        if node.status == NodeStatus.NEVER_SEEN:
            return f"for node {node.id}, which has never registered; gamekeeper node enrol {node.id}"
        if node.status == NodeStatus.OFFLINE:
            return f"for node {node.id}, offline since {_minute(node.last_seen_at)}"
        if node.status == NodeStatus.SUSPECT:
            return f"for node {node.id}, silent since {_minute(node.last_seen_at)}"
        busy = self.busy.get(node.id, 0)
        behind = f", which is busy with {counted(busy, 'other step')}" if busy else ""
        return f"for node {node.id} to take it{behind}"


def _until(step: StepRow) -> str:
    return f" until {_minute(step.deadline_at)}" if step.deadline_at else ""


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "some time ago"
