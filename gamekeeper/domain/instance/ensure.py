"""A step that ensures an instance: what it asks for, and what became of it, as the outcome of the step."""

from __future__ import annotations

from pydantic import BaseModel

from gamekeeper.domain.container.container_key import StepKey
from gamekeeper.domain.instance.control import ActionEnd
from gamekeeper.domain.instance.spec import InstanceSpec, Ready, Restart, RestartPolicy
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.resolved import ResolvedInstance
from gamekeeper.domain.run.step import Reason, StepResult, StepState

_REASONS = {
    InstanceReason.USER: Reason.USER,
    InstanceReason.EXIT_CODE: Reason.EXIT_CODE,
    InstanceReason.CLEAN_EXIT: Reason.EXIT_CODE,
    InstanceReason.OOM: Reason.OOM,
    InstanceReason.UNHEALTHY: Reason.UNHEALTHY,
    InstanceReason.PULL_FAILED: Reason.PULL_FAILED,
    InstanceReason.ENGINE: Reason.ENGINE,
    InstanceReason.PORT_TAKEN: Reason.ENGINE,
    InstanceReason.POLICY: Reason.POLICY,
    InstanceReason.NODE_DISABLED: Reason.NODE_DISABLED,
    InstanceReason.NODE_OFFLINE: Reason.AGENT_LOST,
}


class EnsureInstance(BaseModel):
    """Argument of the activity ``instance.ensure``. ``key`` is the try that asks: the same try makes one revision,
    however often it asks. ``within`` is in seconds, the wait for the node included. ``until_started`` waits until the
    process runs, ready or not."""

    key: StepKey
    pipeline: str
    node: str
    instance: ResolvedInstance
    spec: InstanceSpec
    within: float
    until_started: bool = False

    @property
    def by(self) -> str:
        return by_try(self.key)


def by_try(key: StepKey) -> str:
    """The name of a try as the maker of a revision."""
    return f"run:{key}"


def spec_of(container: Container, instance: ResolvedInstance, step: str, timeout: float) -> InstanceSpec:
    """The revision that a step asks for. The time limit of the step is that of its start."""
    return InstanceSpec(
        container=container,
        ready=Ready(within=f"{max(1, round(timeout))}s"),
        restart=restart_of(container.restart),
        group=instance.group,
        aliases=[step],
    )


def restart_of(word: str) -> Restart:
    """Compose's word as a budget of crashes. Its ``unless-stopped`` is ``always``: a stop is a wish of its own here."""
    policy, _, attempts = word.partition(":")
    if policy in ("always", "unless-stopped"):
        return Restart(policy=RestartPolicy.ALWAYS)
    if policy == "no":
        return Restart(policy=RestartPolicy.NO)
    return Restart(attempts=int(attempts)) if attempts else Restart()


def step_result(instance: str, end: ActionEnd) -> StepResult:
    """The outcome of the step. ``end`` is that of the action which it asked for."""
    told = StepResult(
        state=StepState.SUCCEEDED,
        container_id=end.container_id,
        digest=end.digest,
        ports=end.ports,
        named_ports=end.named_ports,
        outputs={"instance": instance, "revision": end.revision},
    )
    if end.is_ready:
        return told
    failed = {"state": StepState.FAILED, "reason": _reason(end), "message": _why(instance, end)}
    return told.model_copy(update=failed)


def started_result(instance: str, end: ActionEnd) -> StepResult:
    """The outcome of a wait for the start of the process; of one that has ended before, that of the step."""
    if end.state is not None and not end.state.is_up:
        return step_result(instance, end)
    outputs = {"instance": instance, "revision": end.revision}
    return StepResult(
        state=StepState.RUNNING,
        container_id=end.container_id,
        digest=end.digest,
        ports=end.ports,
        named_ports=end.named_ports,
        outputs=outputs,
    )


def _reason(end: ActionEnd) -> Reason:
    if end.state is None:
        return Reason.SUPERSEDED
    return _REASONS.get(end.reason, Reason.INTERNAL) if end.reason else Reason.UNHEALTHY


def _why(instance: str, end: ActionEnd) -> str:
    text = f"revision {end.revision} of instance {instance} is not ready"
    if end.state not in (None, InstanceState.READY):
        text += f" but {end.state.value.replace('_', ' ')}"
    text += f": {end.message}" if end.message else ""
    goes_on = end.state is InstanceState.READY  # it could not even be made, so what ran was never stopped
    return f"{text}; the revision before it is back" if end.reverted or goes_on else text


def not_made(instance: str, within: str, why: str) -> StepResult:
    """The step waits no longer for what keeps its instance from being made."""
    message = f"instance {instance} was not made within {within}: {why}"
    return StepResult(state=StepState.FAILED, reason=Reason.TIMEOUT, message=message)


def too_late(instance: str, within: str, seen: str) -> StepResult:
    """The step waits no longer. The order stands: an instance is not ended by a run."""
    message = f"instance {instance} was not ready within {within}{f': {seen}' if seen else ''}"
    message += f"; it goes on: gamekeeper instance show {instance}"
    return StepResult(state=StepState.FAILED, reason=Reason.TIMEOUT, message=message, outputs={"instance": instance})
