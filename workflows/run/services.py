"""The services that live as long as their run, and how they are stopped with it."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.container.container_key import StepKey
    from gamekeeper.domain.language.units import parse_duration
    from gamekeeper.domain.run.progress import RunProgress
    from gamekeeper.domain.run.step import StepState, StopServiceInput
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.policies import STOP_MARGIN, machinery, node_activity

STOP_SERVICE = "step.stop_service"


class Services:
    """``any`` is True when the run has begun some."""

    def __init__(self, progress: RunProgress) -> None:
        self._progress = progress
        self._keys: dict[str, StepKey] = {}

    def add(self, key: StepKey) -> None:
        """The newest try of a service that ends with the run."""
        self._keys[key.step] = key

    @property
    def any(self) -> bool:
        return bool(self._keys)

    async def stop_all(self) -> None:
        """Ends those that came up; any other was stopped by its own activity."""
        up = [key for name, key in self._keys.items() if self._progress.statuses[name].state is StepState.SUCCEEDED]
        await asyncio.gather(*[self.stop(key) for key in up])

    async def stop(self, key: StepKey) -> None:
        """Ends the container of one service. One that can't be stopped is left to the node's reaper."""
        step = self._progress.steps[key.step]
        grace = parse_duration(step.spec.stop_grace_period)
        try:
            await workflow.execute_activity(
                STOP_SERVICE,
                StopServiceInput(key=key, grace=grace.total_seconds()),
                result_type=RawValue,  # nobody reads it
                activity_id=f"{key.step}.stop",
                **node_activity(
                    queues.node_control_queue(step.node),
                    work=STOP_MARGIN,
                    grace=grace,
                    node_wait=STOP_MARGIN,
                    summary=machinery(f"stop {key.step}"),
                ),
            )
        except Exception as error:
            workflow.logger.warning("service %s was not stopped: %s", key.container_name, error)
