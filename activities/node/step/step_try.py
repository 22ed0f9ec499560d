"""One delivery of one try of a step: attach to its container or run it, wait, and read the outcome from the engine.

The container is named after the work, so every delivery of the same try meets the same container: the first
creates it, all later ones attach. Only a requested cancel, or the step's own time limit, may stop it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.node.context import NodeContext
from activities.node.step.outcome import canceled, ended_outcome, failed, give_reason
from activities.node.step.startup import Startup
from gamekeeper.domain.language.outputs import read_outputs
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.run.step import Reason, RunStepInput, StepResult, StepState
from gamekeeper.errors import ImageError, InvalidError, PolicyError, UnavailableError
from gamekeeper.ports.container_engine import (
    ContainerInfo,
    ContainerStatus,
    NameTakenError,
    NewContainer,
    Ownership,
    StartError,
)
from gamekeeper.ports.node_agent import Begun

PULL_IDLE_SECONDS = 120.0
MAX_LINE = 300
HEALTH_POLL_SECONDS = 0.1


class _TimeLimitError(Exception):
    """The step's own time limit is over."""


def stop_is_requested() -> bool:
    """True when this delivery was cancelled because somebody wants the step to stop.

    A time-out, a lost server, a shutdown of the worker, a reset and a pause cancel the delivery as well, and the
    container has nothing to do with any of them.
    """
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


class StepTry:
    """One delivery of one try of a step."""

    def __init__(self, context: NodeContext, step: RunStepInput, begun: Begun) -> None:
        self._context = context
        self._engine = context.engine
        self._step = step
        self._key = step.key
        self._begun = begun
        self._grace = parse_duration(step.container.stop_grace_period).total_seconds()
        self._deadline = begun.at + step.timeout
        self._startup = Startup()

    async def run(self, *, wait_healthy: bool) -> StepResult:
        container_id = ""
        try:
            async with self._limited():
                container_id = await self._attach_or_start()
                if wait_healthy:
                    return await self._healthy(container_id)
                await self._engine.wait(container_id)
        except asyncio.CancelledError:
            if not stop_is_requested():
                raise
            return await asyncio.shield(self._canceled())
        except _TimeLimitError:
            return await self._timed_out()
        except ImageError as error:
            return failed(Reason.PULL_FAILED, str(error))
        except InvalidError as error:
            return failed(Reason.POLICY if isinstance(error, PolicyError) else Reason.INTERNAL, str(error))
        except StartError as error:
            return await self._could_not_start(str(error))
        return await self._outcome(container_id)

    @asynccontextmanager
    async def _limited(self) -> AsyncIterator[None]:
        """The step's time limit, counted from the first sighting of this try, across deliveries."""
        left = self._deadline - time.time()
        if left <= 0:
            raise _TimeLimitError
        try:
            async with asyncio.timeout(left):
                yield
        except TimeoutError as error:
            raise _TimeLimitError from error

    async def _attach_or_start(self) -> str:
        """The id of this try's container, started. A first delivery looks for none: creating finds out."""
        info = await self._find_own() if self._begun.again else None
        container_id = info.id if info else await self._create()
        await asyncio.to_thread(self._context.journal.record_container, self._key, container_id)
        if info is None or info.status is ContainerStatus.CREATED:
            if self._step.outputs:
                await self._engine.prepare_outputs(container_id)
            await self._engine.start(container_id)
        until_removed, one_file = self._step.outlives_run, not self._step.service
        self._context.logs.follow(self._key, container_id, until_removed=until_removed, one_file=one_file)
        self._context.phases.report(self._key, StepState.RUNNING, container_id=container_id)
        self._context.containers.changed()
        return container_id

    async def _find_own(self) -> ContainerInfo | None:
        info = await self._engine.find(self._key.container_name)
        if info is None and self._begun.container_id:
            raise ApplicationError(
                f"container {self._key.container_name} was removed by somebody else while the step ran; "
                "it was not started a second time",
                type="container_lost",
                non_retryable=True,
            )
        if info is not None and (info.owner is None or info.owner.key != self._key):
            raise InvalidError(
                f"a container named {info.name} exists that is not this step's", hint="remove or rename it"
            )
        return info

    async def _create(self) -> str:
        violations = self._context.policy.violations(self._step.container, resolve_links=True)
        if violations:
            raise PolicyError(f"the policy of node {self._step.node} forbids it: {'; '.join(violations)}")
        await self._stop_older_tries()
        new = await self._new_container()
        if self._step.container.pull_policy == "always":
            await self._pull()
        try:
            return await self._create_or_attach(new)
        except ImageError:
            await self._get_missing(new.spec.image)
        self._context.phases.report(self._key, StepState.STARTING)
        return await self._create_or_attach(new)

    async def _get_missing(self, image: str) -> None:
        """Creating said that the image is not here."""
        if self._step.container.pull_policy == "never":
            hint = "pull it, or drop pull_policy never"
            raise ImageError(f"image {image} is not on node {self._step.node}", hint=hint)
        await self._pull()

    async def _create_or_attach(self, new: NewContainer) -> str:
        try:
            return await self._engine.create(new)
        except NameTakenError:
            info = await self._find_own()
        if info is None:
            raise UnavailableError(f"container {self._key.container_name} vanished while it was looked for")
        return info.id

    async def _stop_older_tries(self) -> None:
        """A try that was given up because its node was silent may still run here; two must never overlap."""
        if self._key.try_ == 1:
            return
        for info in await self._engine.list_owned(run_id=self._key.run_id, step=self._key.step):
            if info.owner and info.owner.key.try_ < self._key.try_:
                await self._engine.stop(info.id, self._grace)

    async def _pull(self) -> None:
        image = self._step.container.image

        def report(text: str) -> None:
            self._context.phases.report(self._key, StepState.PULLING, message=text)

        report(f"pulling {image}")
        await self._engine.pull(image, report, PULL_IDLE_SECONDS)

    async def _new_container(self) -> NewContainer:
        step, run_id = self._step, self._key.run_id
        resource = f"gk-{run_id}"
        network = resource if step.network and step.container.network_mode is None else None
        if network:
            await self._engine.ensure_network(network, run_id)
        workspace = None if step.outlives_run else resource
        if workspace:
            await self._engine.ensure_volume(workspace, run_id)
        owner = Ownership(
            key=self._key,
            node=step.node,
            pipeline=step.pipeline,
            kind="service" if step.service else "job",
            lifetime="node" if step.outlives_run else "run",
            deadline=self._deadline,
        )
        return NewContainer(
            owner=owner,
            spec=step.container,
            network=network,
            workspace=workspace,
            alias=self._key.step,
            has_outputs=bool(step.outputs),
        )

    async def _healthy(self, container_id: str) -> StepResult:
        """Waits until one start of the service has held, and shows meanwhile what keeps it from that."""
        shown = ""
        while True:
            current = await self._engine.find(container_id)
            if current is None or current.status in (ContainerStatus.EXITED, ContainerStatus.DEAD):
                return await self._outcome(container_id, service=True)
            if self._startup.held(current, time.monotonic()):
                self._context.containers.changed()
                return give_reason(StepResult(state=StepState.SUCCEEDED), current)
            trouble = self._startup.describe(current)
            if self._startup.hopeless(current):
                text = f"the service does not stay up: {trouble}"
                return await self._stopped(failed(Reason.UNHEALTHY, await self._with_last_line(text, container_id)))
            if trouble != shown:
                shown = trouble
                self._context.phases.report(self._key, StepState.RUNNING, message=trouble, container_id=container_id)
            await asyncio.sleep(HEALTH_POLL_SECONDS)

    async def _with_last_line(self, text: str, container_id: str) -> str:
        line = await self._engine.last_log_line(container_id)
        shown = line.data.decode(errors="replace").strip()[:MAX_LINE] if line else ""
        return f'{text}; its last line: "{shown}"' if shown else text

    async def _outcome(self, container_id: str, *, service: bool = False) -> StepResult:
        info = await self._engine.find(container_id)
        self._context.containers.changed()
        outcome = ended_outcome(info, service=service)
        if outcome.state is StepState.SUCCEEDED and self._step.outputs:
            return await self._with_outputs(outcome, container_id)
        return outcome

    async def _with_outputs(self, outcome: StepResult, container_id: str) -> StepResult:
        try:
            found = read_outputs(await self._engine.read_outputs(container_id), self._step.outputs)
        except InvalidError as error:
            text = f'step "{self._key.step}": {error}'
            return outcome.model_copy(update={"state": StepState.FAILED, "reason": Reason.OUTPUT, "message": text})
        return outcome.model_copy(update={"outputs": found})

    async def _canceled(self) -> StepResult:
        """Stops the container. One that had ended when the cancel was heard of ended as it did."""
        info = await self._engine.find(self._key.container_name)
        own = info is not None and info.owner is not None and info.owner.key == self._key
        if info is not None and own and info.status in (ContainerStatus.EXITED, ContainerStatus.DEAD):
            return await self._outcome(info.id, service=self._step.service)
        return await self._stopped(canceled())

    async def _stopped(self, result: StepResult) -> StepResult:
        """Stops the container, then gives ``result`` with the engine's words on its end."""
        info = await self._engine.find(self._key.container_name)
        if info is None or info.owner is None or info.owner.key != self._key:
            return result
        await self._engine.stop(info.id, self._grace)
        ended = await self._engine.find(info.id)
        self._context.containers.changed()
        return give_reason(result, ended) if ended else result

    async def _timed_out(self) -> StepResult:
        """Ends even when the engine is dead, or the wait for it would have no limit. What may run on then is found
        by the reaper, because the step is over."""
        message = f"the step's time limit of {self._step.timeout:g} s was reached"
        try:
            info = await self._find_own()
            if info is not None and info.status in (ContainerStatus.EXITED, ContainerStatus.DEAD):
                return await self._outcome(info.id, service=self._step.service)  # it ended while nobody was there
            if info is not None and self._step.service:
                return await self._service_timed_out(info, message)
            return await self._stopped(failed(Reason.TIMEOUT, message))
        except UnavailableError as error:
            return failed(Reason.TIMEOUT, f"{message}; {error}")

    async def _service_timed_out(self, info: ContainerInfo, message: str) -> StepResult:
        if self._startup.held_unseen(info, datetime.now(UTC)):
            return give_reason(StepResult(state=StepState.SUCCEEDED), info)
        trouble = self._startup.describe(info) or "the service was not healthy by then"
        text = await self._with_last_line(f"{message}; {trouble}", info.id)
        return await self._stopped(failed(self._startup.reason(info), text))

    async def _could_not_start(self, text: str) -> StepResult:
        """The engine refused to start the process: the container's own exit code says whose fault it is."""
        info = await self._engine.find(self._key.container_name)
        self._context.containers.changed()
        if info is not None and info.exit_code in (126, 127):
            return give_reason(failed(Reason.EXIT_CODE, text), info)
        result = StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=text)
        return give_reason(result, info) if info else result
