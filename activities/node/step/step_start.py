"""Gets a try of a step running: attaches to its container, or makes and starts one.

The container is named after the work, so every delivery of the same try meets the same container: the first
creates it, all later ones attach. What the engine could not start was not started: the container goes, and Temporal
hands the step out again, a bounded number of times (`docs/decisions/0009-engine-faults.md`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from temporalio.exceptions import ApplicationError

from activities.node.context import NodeContext
from activities.node.delivery import refused
from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.container.registry_login import RegistryLogin, check_registry, read_login
from gamekeeper.domain.language.units import parse_duration
from gamekeeper.domain.node.hardened import hardened
from gamekeeper.domain.node.judged import Judged
from gamekeeper.domain.node.judgement import Subject
from gamekeeper.domain.run.step import RunStepInput, StepState
from gamekeeper.errors import ImageError, InvalidError, PolicyError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.container_engine import (
    ContainerInfo,
    ContainerStatus,
    EngineFaultError,
    NameTakenError,
    NewContainer,
    Ownership,
    group_network,
)
from gamekeeper.ports.node_agent import Begun

log = get_logger(__name__)

PULL_IDLE_SECONDS = 120.0
PULLS = 3
START_TRIES = 10  # with Temporal's waits between them 43 s, in which an engine restarts and a port becomes free


class GaveUpError(Exception):
    """The engine failed to start the container too often; the text is its own."""


class StepStart:
    """Getting one delivery's try to run. ``made`` says whether it has a container, started or not; ``fault`` holds the
    engine's words when it failed to start it."""

    def __init__(self, context: NodeContext, step: RunStepInput, begun: Begun) -> None:
        self._context = context
        self._engine = context.engine
        self._step = step
        self._key = step.key
        self._begun = begun
        self._deadline = begun.at + step.timeout
        self._grace = parse_duration(step.container.stop_grace_period).total_seconds()
        self._workspace = None if step.outlives_run else f"gk-{step.key.run_id}"
        self._unstarted = False
        self.made = bool(begun.container_id)
        self.fault = begun.fault

    @property
    def _subject(self) -> Subject:
        return Subject(self._step.pipeline, "", self._step.caller)

    async def attach_or_start(self) -> str:
        """The id of this try's container, started."""
        try:
            container_id = await self._started()
        except EngineFaultError as error:
            raise await self._after_fault(error) from error
        until_removed, one_file = self._step.outlives_run, not self._step.service
        self._context.logs.follow(self._key, container_id, until_removed=until_removed, one_file=one_file)
        self._context.phases.report(self._key, StepState.RUNNING, container_id=container_id)
        self._context.containers.changed()
        return container_id

    async def _started(self) -> str:
        """A first delivery looks for no container: creating finds out."""
        info = await self.find_own() if self._begun.again else None
        container_id = info.id if info else await self._create()
        if container_id != self._begun.container_id:
            await asyncio.to_thread(self._context.journal.record_container, self._key, container_id)
        self.made = True
        if info is None or info.status is ContainerStatus.CREATED:
            self._unstarted = True
            if self._workspace:
                await self._engine.open_workspace(container_id, self._workspace)
            if self._step.outputs:
                await self._engine.prepare_outputs(container_id)
            await self._engine.start(container_id)
        return container_id

    async def _after_fault(self, error: EngineFaultError) -> Exception:
        """Counts a fault and removes the container, so that the next delivery begins anew; the error to raise.

        A container that may have been started is left alone: the next delivery looks again. First the journal: a
        container that goes without its word would count as removed by somebody else.
        """
        if self._begun.container_id and not self._unstarted:
            return error
        info = await self._find_mine()
        if info is not None and info.started_at is not None:
            return error
        self.fault = str(error)
        count = await asyncio.to_thread(self._context.journal.record_fault, self._key, self.fault)
        self.made = False
        if info is not None:
            await self._engine.remove(info.id)
        self._context.containers.changed()
        return error if count < START_TRIES else GaveUpError(f"given up after {count} starts: {error}")

    async def _find_mine(self) -> ContainerInfo | None:
        info = await self._engine.find(self._key.container_name)
        return info if info is not None and info.owner is not None and info.owner.key == self._key else None

    async def find_own(self) -> ContainerInfo | None:
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

    def _check_input(self) -> None:
        """Nothing is created for a delivery that somebody forged, altered or repeated. A container that is there is
        gone on with, whatever the delivery is."""
        reason = "its try was over before" if self._begun.is_over else self._context.inputs.refusal()
        if reason:
            raise refused("step", reason)

    def check_policy(self) -> None:
        """Before each start. Raises PolicyError."""
        violations = self._context.policy.violations(self._step.container, self._subject)
        if violations:
            raise PolicyError(f"the policy of node {self._step.node} forbids it: {'; '.join(map(str, violations))}")

    async def _create(self) -> str:
        self._check_input()
        self.check_policy()
        await self._stop_older_tries()
        new = await self._new_container()
        if self._step.container.pull_policy == "always":
            await self._pull()
        for _ in range(PULLS):  # somebody may prune it before a container has it
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
            info = await self.find_own()
        if info is None:
            raise UnavailableError(f"container {self._key.container_name} vanished while it was looked for")
        return info.id

    async def _stop_older_tries(self) -> None:
        """A try that was given up because its node was silent may still run here; two must never overlap."""
        if self._key.try_ == 1:
            return
        for info in await self._engine.list_owned(run_id=self._key.run_id, step=self._key.step):
            if info.owner and isinstance(info.owner.key, StepKey) and info.owner.key.try_ < self._key.try_:
                await self._engine.stop(info.id, self._grace)

    async def _pull(self) -> None:
        image = self._step.container.image

        def report(text: str) -> None:
            self._context.phases.report(self._key, StepState.PULLING, message=text)

        report(f"pulling {image}")
        login = await self._login()
        await self._engine.pull(image, report, PULL_IDLE_SECONDS, login)

    async def _login(self) -> RegistryLogin | None:
        pull = self._step.container.pull
        if pull is None:
            return None
        check_registry(pull, self._step.container.image)
        values = await self._context.secrets.values(self._key, [pull.secret])
        return read_login(pull.secret, values[pull.secret])

    async def _network(self) -> str | None:
        """The network in which the step finds the services of its run: that of the instances among them, or its
        run's own."""
        step = self._step
        if step.container.network_mode is not None:
            return None
        if step.group is not None:
            await self._engine.ensure_group(step.group)
            return group_network(step.group)
        if not step.network:
            return None
        network = f"gk-{self._key.run_id}"
        await self._engine.ensure_network(network, self._key.run_id)
        return network

    async def _new_container(self) -> NewContainer:
        step, run_id = self._step, self._key.run_id
        network = await self._network()
        if self._workspace:
            await self._engine.ensure_volume(self._workspace, run_id)
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
            spec=hardened(step.container, self._context.policy.default_limits()),
            network=network,
            workspace=self._workspace,
            alias=self._key.step,
            has_outputs=bool(step.outputs),
            judged=Judged(step.container, self._subject),
            secrets=len(step.container.secrets),
            values=await self._secrets(),
        )

    async def _secrets(self) -> Mapping[str, bytes]:
        """Asked for at each try: what was rotated, or taken away, counts from then on."""
        names = self._step.container.secret_names
        return await self._context.secrets.values(self._key, names) if names else {}
