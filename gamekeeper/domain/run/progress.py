"""Progress of a run: the state of every step, and which steps may start next. Pure, so that the workflow stays thin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from heapq import nsmallest
from typing import Any

from gamekeeper.domain.language.container import Container, with_own_volumes
from gamekeeper.domain.language.evaluation import Values, as_environment, evaluate, render_tree
from gamekeeper.domain.language.expressions import ExpressionError, uses_status_function
from gamekeeper.domain.language.given_port import keys_of
from gamekeeper.domain.language.graph import Ancestors
from gamekeeper.domain.language.matrix import describe, expand
from gamekeeper.domain.language.metering import Budget
from gamekeeper.domain.language.resolved import ResolvedPipeline, ResolvedStep
from gamekeeper.domain.language.step import FIXED_OUTPUTS, INSTANCE_OUTPUTS, StepType
from gamekeeper.domain.run.limits import (
    MAX_CELL,
    MAX_MESSAGE,
    MAX_RENDERED,
    MAX_SHOWN_OUTPUTS,
    MAX_SNAPSHOT,
    check_size,
    encoded_size,
    shortened,
)
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import Reason, StepResult, StepState, StepStatus, ended_well

BAD_STATES = frozenset({StepState.FAILED, StepState.ERROR, StepState.CANCELED})
SHOWN_ROWS = 200  # in the table of the Temporal web UI
NOTE_LENGTH = 200  # of a step's message in the table of the Temporal web UI
RETRYABLE = {
    Reason.EXIT_CODE: "failure",
    Reason.UNHEALTHY: "failure",
    Reason.TIMEOUT: "timeout",
    Reason.OOM: "oom",
    Reason.PULL_FAILED: "pull",
    Reason.ENGINE: "engine",
    Reason.AGENT_LOST: "agent_lost",
}


class RunProgress:
    """The steps of one run. ``take_changes`` hands out what changed since it was last asked."""

    def __init__(self, run_id: str, pipeline: ResolvedPipeline, carried: Sequence[StepStatus] = ()) -> None:
        self.run_id = run_id
        self.pipeline = pipeline
        self.state = RunState.QUEUED
        self.stopped: Reason | None = None
        steps = pipeline.all_steps()
        finals = {step.name for step in pipeline.finally_}
        self.steps = {step.name: step for step in steps}
        self.statuses = {
            step.name: StepStatus(
                name=step.name,
                position=index,
                type=step.type.value,
                node=step.node,
                needs=step.needs,
                finally_=step.name in finals,
            )
            for index, step in enumerate(steps)
        }
        self._needs = {step.name: step.needs for step in steps}
        self._budget = Budget()
        self._above = Ancestors(self._needs)
        self._awaited_starts = {need for step in steps for need in step.started_needs}
        self._service_nodes = {step.node for step in steps if step.type is StepType.SERVICE}
        self._groups = {step.node: step.instance.group for step in steps if step.instance is not None}
        self._failed: set[str] = set()
        self._open = set(self.steps)
        self._cells: dict[str, list[str]] = {}
        for status in carried:
            self._carry(status)
        for name in self._cells:
            self._gather_outputs(name)
        self._changed = dict.fromkeys(self.statuses)
        self._state_changed = False

    def _carry(self, status: StepStatus) -> None:
        """A step, or a cell of a matrix, that an earlier run has ended."""
        if status.cell_of:
            self._add_cell(status.cell_of, status.name, status.matrix)
            self._cells.setdefault(status.cell_of, []).append(status.name)
        self._set(status)

    def _gather_outputs(self, name: str) -> None:
        """A carried matrix whose outputs were too many to be shown has them from its cells."""
        status = self.statuses[name]
        if status.state.is_final and not status.outputs:
            self._set(status.model_copy(update={"outputs": self._cell_outputs(name)}))

    @property
    def cancelled(self) -> bool:
        """True when the run was asked to end, for another reason than its own time limit."""
        return self.stopped not in (None, Reason.TIMEOUT)

    def _set(self, status: StepStatus) -> None:
        if len(status.message) > MAX_MESSAGE:
            status = status.model_copy(update={"message": shortened(status.message)})
        self.statuses[status.name] = status
        if status.state in BAD_STATES and not self.steps[status.name].continue_on_error:
            self._failed.add(status.name)
        else:
            self._failed.discard(status.name)
        if status.state.is_final:
            self._open.discard(status.name)
        else:
            self._open.add(status.name)

    @property
    def all_ended(self) -> bool:
        return not self._open

    def _add_cell(self, name: str, cell_name: str, cell: dict[str, Any]) -> None:
        update = {"name": cell_name, "matrix": None, "cell_of": name, "cell": cell}
        self.steps[cell_name] = self.steps[name].model_copy(update=update)
        self._needs[cell_name] = self.steps[name].needs

    def update(self, name: str, **fields: Any) -> None:
        self._set(self.statuses[name].model_copy(update=fields))
        self._changed[name] = None

    def enter(self, state: RunState) -> None:
        """Gives the run a state that the read model is to know at once."""
        self.state = state
        self._state_changed = True

    def take_changes(self) -> list[StepStatus]:
        """The oldest changes, as many as fit into one message; there may be more."""
        taken: list[StepStatus] = []
        size = 0
        for name in list(self._changed):
            status = _shown(self.statuses[name])
            size += encoded_size([status.outputs, status.matrix, status.message])
            if taken and size > MAX_SNAPSHOT:
                break
            taken.append(status)
            del self._changed[name]
        self._state_changed = False
        return taken

    @property
    def has_changes(self) -> bool:
        return bool(self._changed) or self._state_changed

    def expand(self, name: str) -> list[str]:
        """The cells of a matrix, which are steps of their own from now on. Raises InvalidError for wrong lists."""
        status = self.statuses[name]
        cells = expand(render_tree(self.steps[name].matrix, self.values(name)))
        for cell in cells:
            check_size(f"the cell {describe(cell)[:80]}", cell, MAX_CELL, "pass large values by a file in /workspace")
        names = self._cells[name] = [f"{name}.{index}" for index in range(len(cells))]
        for index, (cell_name, cell) in enumerate(zip(names, cells, strict=True)):
            self._add_cell(name, cell_name, cell)
            own = {"name": cell_name, "cell_of": name, "cell": index, "matrix": cell, "message": describe(cell)}
            self._set(status.model_copy(update=own))
            self._changed[cell_name] = None
        return names

    def cells(self, name: str) -> list[str]:
        """The cells of a matrix that was expanded; none for any other step."""
        return self._cells.get(name, [])

    def _cell_outputs(self, name: str) -> dict[str, list[Any]]:
        """A list for each declared output, with one value a cell; null where a cell gave none."""
        cells = [self.statuses[cell] for cell in self._cells[name]]
        return {key: [cell.outputs.get(key) for cell in cells] for key in self.steps[name].outputs}

    def matrix_result(self, name: str) -> StepResult:
        """The outcome of a matrix whose cells have all ended, with the outputs of those that gave some."""
        cells = [self.statuses[cell] for cell in self._cells[name]]
        bad = [cell for cell in cells if not ended_well(cell.state, cell.reason, False)]
        first = min(bad, key=lambda cell: cell.state is StepState.CANCELED, default=None)  # the cause, not its victims
        outputs = self._cell_outputs(name)
        if first is None:
            return StepResult(state=StepState.SUCCEEDED, outputs=outputs)
        state = StepState.CANCELED if first.state is StepState.CANCELED else StepState.FAILED
        message = f"{len(bad)} of {len(cells)} cells; {first.name} ({describe(first.matrix)}): {first.message}"
        return StepResult(state=state, reason=first.reason, message=message, outputs=outputs)

    def begin_try(self, name: str, number: int, *, waits_until: datetime | None, message: str = "") -> None:
        """A new try is handed to the node; ``waits_until`` is set where the node is not there to take it."""
        state = StepState.WAITING_NODE if waits_until else StepState.STARTING
        cleared = dict.fromkeys(("reason", "exit_code", "started_at", "finished_at"))
        empty = dict.fromkeys(("container_id", "digest"), "") | {"message": message}
        lists: dict[str, Any] = {"ports": [], "named_ports": {}, "outputs": {}}
        self.update(name, state=state, try_=number, deadline_at=waits_until, **lists, **cleared, **empty)

    def start_is_awaited(self, name: str) -> bool:
        """True for a service of which another step needs that it has started, and no more."""
        return name in self._awaited_starts

    def start(self, name: str, seen: StepResult) -> None:
        """The container of a service runs; whether it is healthy, nobody knows yet."""
        facts = {key: getattr(seen, key) for key in ("container_id", "digest", "started_at", "ports", "named_ports")}
        self.update(name, state=StepState.RUNNING, deadline_at=None, **facts)

    def has_started(self, name: str) -> bool:
        """True while the container of a service runs, and when the step has ended."""
        return self.statuses[name].state.is_final or self.statuses[name].state is StepState.RUNNING

    def finish(self, name: str, result: StepResult) -> None:
        fields = {key: getattr(result, key) for key in StepResult.model_fields}
        self.update(name, deadline_at=None, **fields)

    def decide(self, name: str) -> StepResult | None:
        """None when the step may start; else the outcome it has without starting.

        A step whose ``if`` uses no status function starts only when all it needs ended well.
        """
        step = self.steps[name]
        condition = step.if_
        if (condition is None or not uses_status_function(condition)) and not self._needs_are_well(name):
            return StepResult(
                state=StepState.SKIPPED, reason=Reason.UPSTREAM, message="a step it needs did not end well"
            )
        if condition is None:
            return None
        try:
            value = evaluate(condition, self.values(name))
        except ExpressionError as error:
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=f"if: {error.message}")
        if not isinstance(value, bool):
            return StepResult(
                state=StepState.ERROR, reason=Reason.INTERNAL, message=f'if must give a boolean, got "{value}"'
            )
        return None if value else StepResult(state=StepState.SKIPPED, reason=Reason.CONDITION, message="if was false")

    def _needs_are_well(self, name: str) -> bool:
        return all(self._is_well(need) for need in self._needs[name])

    def _is_well(self, name: str) -> bool:
        """True when a dependent may go on: the step has ended well, or it has started and no more is needed of it."""
        status = self.statuses[name]
        well = ended_well(status.state, status.reason, self.steps[name].continue_on_error)
        return well or not status.state.is_final

    def render_container(self, name: str) -> Container:
        """The step's container with the last templates filled in.

        Raises InvalidError for a template that fails and for a container that is too large, or a ValidationError.
        """
        container = self.steps[name].spec
        dumped = container.model_dump(exclude_unset=True)
        if "${{" not in str(dumped):
            return container
        rendered = render_tree(dumped, self.values(name))
        if "environment" in rendered:
            rendered["environment"] = as_environment(dumped["environment"], rendered["environment"])
        check_size("the container", rendered, MAX_RENDERED, "pass large values by a file in /workspace")
        if rendered == dumped:
            return container
        return with_own_volumes(Container.model_validate(rendered), self.pipeline.name)

    def values(self, name: str) -> Values:
        """The values that the expressions of step ``name`` may read."""
        upstream = self._above.of(self.statuses[name].cell_of or name)
        if self.statuses[name].finally_:
            upstream = upstream | {other.name for other in self.pipeline.steps}
        failed = any(not self._is_well(other) for other in upstream)
        return Values(
            args=self.pipeline.args,
            envs=self.pipeline.envs,
            steps={other: self._as_value(other) for other in sorted(upstream)},
            run={"id": self.run_id, "name": self.pipeline.name, "status": self.outcome().value},
            node={"id": self.statuses[name].node},
            matrix=self.steps[name].cell,
            budget=self._budget,
            status={
                "success": not failed and not self.cancelled,
                "failure": failed and not self.cancelled,
                "cancelled": self.cancelled,
                "always": True,
            },
        )

    def _as_value(self, name: str) -> Mapping[str, Any]:
        """A step as expressions read it: an output that it did not give is null, and so is a port."""
        step, status = self.steps[name], self.statuses[name]
        named = FIXED_OUTPUTS.get(step.type, step.outputs) if step.instance is None else INSTANCE_OUTPUTS
        outputs = dict.fromkeys(named) | status.outputs
        ports = dict.fromkeys(_port_keys(step)) | status.named_ports
        return {"status": status.state.value, "exit_code": status.exit_code, "outputs": outputs, "ports": ports}

    def outcome(self) -> RunState:
        """The state that the run would end in with what is known now."""
        if self.cancelled:
            return RunState.CANCELED
        return RunState.FAILED if self._failed or self.stopped else RunState.SUCCEEDED

    def first_failure(self) -> StepStatus | None:
        return next((status for name, status in self.statuses.items() if name in self._failed), None)

    def needs_network(self, node: str) -> bool:
        """True when the run's containers on ``node`` share a network, so that a service's name is a host name."""
        return node in self._service_nodes

    def group_on(self, node: str) -> str | None:
        """The group of the instances that the run ensures on ``node``: there its steps find them by name."""
        return self._groups.get(node)

    def markdown(self) -> str:
        """The run as a table, for the Temporal web UI: the first 200 steps, cells below their step."""
        rows = [_table_row("step", "state", "node", "try", ""), "| --- | --- | --- | --- | --- |"]
        placed = nsmallest(
            SHOWN_ROWS,
            self.statuses.values(),
            key=lambda status: (status.position, -1 if status.cell is None else status.cell),
        )
        for status in placed:
            note = status.message[:NOTE_LENGTH] or (status.reason.value if status.reason else "")
            rows.append(_table_row(status.name, status.state, status.node, str(status.try_ or ""), note))
        return "\n".join(rows)


def _port_keys(step: ResolvedStep) -> frozenset[str]:
    is_service = step.type is StepType.SERVICE and step.container is not None
    return (keys_of(step.spec.ports) if is_service else None) or frozenset()


def _table_row(*cells: str) -> str:
    """The web UI puts nothing between columns, so what is in them ends with a space that stays."""
    kept = [" ".join(cell.split()).replace("|", "\\|") for cell in cells]
    return "| " + " | ".join(f"{cell}\u00a0\u00a0" if cell else "" for cell in kept) + " |"


def _shown(status: StepStatus) -> StepStatus:
    """The step for the read model, which shows outputs up to a limit. Expressions read them whole."""
    size = encoded_size(status.outputs)
    if size <= MAX_SHOWN_OUTPUTS:
        return status
    note = f"outputs of {size:,} bytes together are shown at the cells alone"
    message = shortened(f"{status.message}; {note}" if status.message else note)
    return status.model_copy(update={"outputs": {}, "message": message})


def tried(number: int, outcome: StepResult | StepStatus) -> str:
    """The end of a try, as in ``try 1 failed: exit 7``."""
    if outcome.reason is Reason.EXIT_CODE and outcome.exit_code is not None:
        return f"try {number} failed: exit {outcome.exit_code}"
    return f"try {number} failed: {outcome.message or outcome.reason or outcome.state}"


def may_retry(step: ResolvedStep, result: StepResult, tries: int) -> bool:
    """True when the step's own ``retry`` asks for another try after ``tries`` of them."""
    retry = step.retry
    if result.state not in (StepState.FAILED, StepState.ERROR) or tries >= retry.attempts or result.reason is None:
        return False
    if RETRYABLE.get(result.reason) not in retry.on:
        return False
    return not retry.exit_codes or result.reason is not Reason.EXIT_CODE or result.exit_code in retry.exit_codes


def retry_delay(step: ResolvedStep, tries: int) -> float:
    """Seconds before the try after ``tries`` of them."""
    retry = step.retry
    return min(retry.max_backoff, retry.backoff * retry.factor ** min(tries - 1, 64))
