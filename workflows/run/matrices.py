"""Steps with a matrix: their cells side by side, each a step of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.language.resolved import ResolvedStep
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.step import Reason, StepResult, StepState, ended_well
    from gamekeeper.errors import InvalidError
    from workflows.run.node_steps import StepRunner


class MatrixRunner:
    """``run_cell`` runs one cell on its node. ``written`` returns when the read model has all that is known now: the
    log of a cell is taken only once the cell is there."""

    def __init__(
        self,
        progress: RunProgress,
        runner: StepRunner,
        run_cell: Callable[[str], Awaitable[StepResult]],
        written: Callable[[], Awaitable[None]],
    ) -> None:
        self._progress = progress
        self._runner = runner
        self._run_cell = run_cell
        self._written = written

    async def run(self, name: str) -> StepResult:
        try:
            cells = self._progress.expand(name)
        except InvalidError as error:
            return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=error.message)
        since = workflow.now()
        self._progress.update(name, state=StepState.RUNNING, started_at=since, message=f"cells: {len(cells)}")
        await self._written()
        step = self._progress.steps[name]
        slots = asyncio.Semaphore(step.max_parallel or len(cells))
        await asyncio.gather(*[asyncio.create_task(self._cell(cell, step, slots)) for cell in cells])
        times = {"started_at": since, "finished_at": workflow.now()}
        return self._progress.matrix_result(name).model_copy(update=times)

    async def _cell(self, cell: str, step: ResolvedStep, slots: asyncio.Semaphore) -> None:
        async with slots:
            result = self._runner.stopped_result(cell) or await self._run_cell(cell)
        self._progress.finish(cell, result)
        failed = not ended_well(result.state, result.reason, step.continue_on_error)
        if failed and step.fail_fast and result.state is not StepState.CANCELED:
            self._give_up(cell, step.name)

    def _give_up(self, cell: str, name: str) -> None:
        for other in self._progress.cells(name):
            if not self._progress.statuses[other].state.is_final:
                self._runner.call_off(other, Reason.UPSTREAM, f"{cell} failed, and fail_fast ends the others")
