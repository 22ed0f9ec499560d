"""The words in which the keeper tells of an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamekeeper.domain.instance.order import InstanceStatus
from gamekeeper.domain.instance.state import InstanceReason, InstanceState
from gamekeeper.ports.container_engine import ContainerInfo

if TYPE_CHECKING:
    from agent_worker.instance.kept import Kept


def new_status(
    kept: Kept,
    state: InstanceState,
    reason: InstanceReason | None,
    message: str,
    info: ContainerInfo | None,
    exit_code: int | None,
) -> InstanceStatus:
    record, memory = kept.record, kept.memory
    before, fall = record.status, memory.fall
    if state is InstanceState.READY and fall is not None and reason is None:
        reason, message = fall.reason, f"revision {record.order.revision} is not up: {fall.message}"
    if state is InstanceState.STARTING and memory.aside is not None and record.before is not None:
        message = message or f"revision {record.before.revision} goes on until it is ready"
    is_same = before is not None and before.state is state and before.serial == record.order.serial
    return InstanceStatus(
        instance=kept.order.instance,
        serial=record.order.serial,
        revision=(kept.sight.revision_of(info.id) if info else None) or kept.order.revision,
        desired=record.order.desired,
        state=state,
        reason=reason,
        message=message,
        since=before.since if before is not None and is_same else kept.tools.now(),
        crash_count=memory.crashes.total,
        exit_code=exit_code,
        container_id=info.id if info else "",
        digest=info.digest if info else "",
        ports=list(info.ports) if info else [],
    )


def says_anything_new(status: InstanceStatus, before: InstanceStatus | None) -> bool:
    """True unless they differ in their numbers alone."""
    return before is None or status != before.model_copy(update={"seq": status.seq})
