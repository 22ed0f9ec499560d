"""Reruns: a new run of an ended run's pipeline, which takes over the results that stand. The old run stays as it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from api.services.run.run import Rerun, RunService
from gamekeeper.control_plane.intake.accept import Accepted
from gamekeeper.control_plane.intake.submission import Submission
from gamekeeper.db.models import StepRow
from gamekeeper.db.repositories.run import step_status
from gamekeeper.domain.access.access import Access
from gamekeeper.domain.language.resolve import Call
from gamekeeper.domain.language.resolved import ResolvedPipeline
from gamekeeper.domain.run.rerun import changed_steps, steps_to_carry
from gamekeeper.domain.run.run import RunState
from gamekeeper.domain.run.step import StepStatus
from gamekeeper.errors import ConflictError


class RerunService:
    def __init__(self, runs: RunService) -> None:
        self._runs = runs

    async def rerun(
        self,
        run_id: str,
        start: str,
        args: Mapping[str, Any],
        idempotency: tuple[str | None, str],
        access: Access,
    ) -> Accepted:
        """``start`` as in ``gamekeeper.domain.run.rerun``; ``args`` replace those of the old run, one by one, and the
        steps that they change are done again.

        Raises NotFoundError, ConflictError for a run that goes on, InvalidError and SpecError for what can't be run.
        """
        row, steps = await self._runs.get_whole(run_id)
        if not RunState(row.state).is_final:
            raise ConflictError(f"run {run_id} is {row.state}", hint="cancel it, or wait for its end")
        if not row.source:
            raise ConflictError(f"run {run_id} was made before its pipeline was kept", hint="submit the pipeline anew")
        call = row.call
        submission = Submission(
            yaml=row.source,
            pipeline=row.pipeline if row.pipeline_version else None,
            version=row.pipeline_version,
            args=call.get("args", {}) | dict(args),
            envs=call.get("envs", {}),
            node=call.get("node"),
            idempotency_key=idempotency[0],
            fingerprint=idempotency[1],
        )
        changed = await self._changed(submission, call.get("args", {}), run_id) if args else set()
        rerun = Rerun(run_id, lambda resolved: _carried(resolved, steps, start, changed))
        return await self._runs.submit(submission, access, rerun)

    async def _changed(self, submission: Submission, old_args: Mapping[str, Any], run_id: str) -> set[str]:
        """The steps that the new arguments change. Both are resolved for the same run, so that its id is no change."""
        planner = self._runs.planner
        document = await planner.document(submission)
        call = Call(submission.args, submission.envs, submission.node, run_id)
        before = await planner.judge.resolve(document, replace(call, args=old_args))
        return changed_steps(before, await planner.judge.resolve(document, call))


def _carried(resolved: ResolvedPipeline, rows: list[StepRow], start: str, changed: Collection[str]) -> list[StepStatus]:
    ended = {row.name: step_status(row) for row in rows if not row.is_finally}
    carried = steps_to_carry(resolved, ended, start, changed)
    return [
        status.model_copy(update={"carried_from": row.carried_from or row.run_id})
        for row in rows
        if (status := ended.get(row.name)) is not None and (row.cell_of or row.name) in carried
    ]
