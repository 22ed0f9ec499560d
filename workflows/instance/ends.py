"""Ends of actions: the keeper's outcome, or the reason why there is none."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.instance.control import ActionBegun, ActionEnd
    from gamekeeper.domain.instance.order import InstanceOutcome
    from gamekeeper.domain.instance.state import InstanceReason, InstanceState
    from gamekeeper.domain.instance.told import bounded
    from gamekeeper.domain.run.limits import shortened
    from workflows.run.told import read_told


def outcome_of(told: RawValue | None, node: str, agent: str) -> tuple[InstanceOutcome | None, str]:
    """The outcome, or why there is none."""
    try:
        found = read_told(told, InstanceOutcome)
    except ValueError as error:
        version = f"version {agent}" if agent else "of an unknown version"
        return None, f"the agent of node {node}, {version}, tells an end that this server can't read: {error}"
    return found.model_copy(update={"status": bounded(found.status)}), ""


def end_of(begun: ActionBegun, outcome: InstanceOutcome | None, failure: str) -> ActionEnd:
    if outcome is None:
        failed = {"state": InstanceState.FAILED, "reason": InstanceReason.INTERNAL, "message": failure}
        return ActionEnd(serial=begun.serial, revision=begun.revision, **failed)
    status = outcome.status
    return ActionEnd(
        serial=begun.serial,
        revision=begun.revision,
        state=status.state,
        reason=status.reason,
        message=shortened(status.message),
        is_ready=outcome.is_ready,
        container_id=status.container_id,
        digest=status.digest,
        ports=status.ports,
    )


def unheard_of(node: str, agent: str) -> str:
    return f"the agent of node {node} keeps no instances; upgrade it (it has {agent or 'an unknown version'})"


def words_of(error: ActivityError) -> str:
    cause = error.cause
    return shortened(cause.message if isinstance(cause, ApplicationError) else str(cause or error))


def kind_of(error: ActivityError) -> str:
    return (error.cause.type or "") if isinstance(error.cause, ApplicationError) else ""
