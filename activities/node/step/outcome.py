"""Turns the engine's state of a container into a step's one outcome."""

from __future__ import annotations

from gamekeeper.domain.run.step import Reason, StepResult, StepState
from gamekeeper.ports.container_engine import ContainerInfo


def failed(reason: Reason, message: str) -> StepResult:
    return StepResult(state=StepState.FAILED, reason=reason, message=message)


def canceled() -> StepResult:
    return StepResult(state=StepState.CANCELED, reason=Reason.USER)


def give_reason(result: StepResult, info: ContainerInfo) -> StepResult:
    """``result`` with the facts that the engine holds of its container."""
    return result.model_copy(
        update={
            "exit_code": info.exit_code if info.finished_at else None,
            "container_id": info.id,
            "digest": info.digest,
            "started_at": info.started_at,
            "finished_at": info.finished_at,
            "ports": list(info.ports),
        }
    )


def ended_outcome(info: ContainerInfo | None, *, service: bool) -> StepResult:
    """The outcome of a container that ended by itself. ``service``: ending at all is then a failure."""
    if info is None:
        message = "the container was removed by somebody else before its outcome was read"
        return StepResult(state=StepState.ERROR, reason=Reason.INTERNAL, message=message)
    if info.exit_code == 0 and not service:
        note = "a process in the container was killed for memory; it went on" if info.oom_killed else ""
        return give_reason(StepResult(state=StepState.SUCCEEDED, message=note), info)
    if info.oom_killed and info.exit_code != 0:
        return give_reason(failed(Reason.OOM, "out of memory: raise deploy.resources.limits.memory"), info)
    if service:
        return give_reason(failed(Reason.EXIT_CODE, f"the service ended with exit code {info.exit_code}"), info)
    return give_reason(failed(Reason.EXIT_CODE, info.error or f"exit code {info.exit_code}"), info)
