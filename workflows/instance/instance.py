"""InstanceWorkflow: one instance, for as long as it is there. It alone gives orders to the instance's keeper.

This module has the messages to an instance; ``workflows.instance.actions`` has what is done by them.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from gamekeeper.domain.instance.control import (
        ActionEnd,
        ChangeRequest,
        Expiry,
        InstanceAction,
        InstanceLife,
        PowerAction,
        PowerRequest,
        RemoveRequest,
    )
    from gamekeeper.domain.instance.state import Desired
    from gamekeeper.domain.node.node import NodeView
    from gamekeeper.temporal import workflow_names
    from workflows.instance.actions import InstanceActions
    from workflows.instance.asked import Asked
    from workflows.run.cancels import to_its_end

_UP = (PowerAction.START, PowerAction.RESTART)


# No failure_exception_types: an error of ours fails the task alone, which is tried again by a worker that is mended.
@workflow.defn(name=workflow_names.INSTANCE)
class InstanceWorkflow:
    @workflow.init
    def __init__(self, life: InstanceLife) -> None:
        self._actions = InstanceActions(life)

    @workflow.signal
    def node_changed(self, node: NodeView) -> None:
        """The API tells of a node's new mode: a disabled one stops its instances, an active one has them again."""
        self._actions.update_node(node)

    @workflow.signal
    def reconcile(self) -> None:
        """The node has another order than the control plane: it gets the newest one again."""
        self._actions.repeat()

    @workflow.signal
    def begin_anew(self) -> None:
        """The history of before has to go, as the key that it is encrypted with."""
        self._actions.begins_anew = True

    @workflow.signal
    def expire_at(self, end: Expiry) -> None:
        """The instance ends at another time, or at none."""
        self._actions.expire_at(end.at)

    @workflow.update
    async def power(self, request: PowerRequest) -> ActionEnd:
        """Begins a start, stop, restart or kill; answers when the read model has it."""
        asked = await self._actions.ask(self._power(request))
        return _so_far(asked)

    @power.validator
    def _check_power(self, request: PowerRequest) -> None:
        self._actions.check(InstanceAction(request.action.value))

    def _power(self, request: PowerRequest) -> Asked:
        action = InstanceAction(request.action.value)
        if self._actions.desired is Desired.REMOVED:  # only a kill comes so far, and it hastens the removal
            return Asked(InstanceAction.REMOVE, Desired.REMOVED, request.by, request.reason, request.asker, kill=True)
        desired = Desired.RUNNING if request.action in _UP else Desired.STOPPED
        return Asked(action, desired, request.by, request.reason, request.asker)

    @workflow.update
    async def change(self, request: ChangeRequest) -> ActionEnd:
        """Takes a new revision or an older one; answers when the read model has it, or at its end."""
        asked = Asked(
            InstanceAction.UPDATE if request.spec else InstanceAction.ROLLBACK,
            self._actions.desired,
            request.by,
            request.reason,
            request.asker,
            revision=request.revision,
            spec=request.spec,
            auto_revert=request.auto_revert,
            strategy=request.strategy,
            run_id=request.run_id,
            step=request.step,
        )
        if request.starts:
            asked.desired = Desired.RUNNING
        await self._actions.ask(asked)
        if request.waits:
            await workflow.wait_condition(lambda: asked.end is not None)
        return _so_far(asked)

    @change.validator
    def _check_change(self, request: ChangeRequest) -> None:
        self._actions.check(InstanceAction.UPDATE if request.spec else InstanceAction.ROLLBACK)

    @workflow.update
    async def remove(self, request: RemoveRequest) -> ActionEnd:
        """Begins the removal, in the place of whatever goes on."""
        by, reason, asker = request.by, request.reason, request.asker
        asked = Asked(InstanceAction.REMOVE, Desired.REMOVED, by, reason, asker, volumes=request.volumes)
        return _so_far(await self._actions.ask(asked))

    @remove.validator
    def _check_remove(self, request: RemoveRequest) -> None:
        del request  # a removal may come at any time
        self._actions.check(InstanceAction.REMOVE)

    @workflow.run
    async def run(self, _life: InstanceLife) -> None:
        """Lasts until the instance is removed: by a request of a user, and by no cancel of the workflow."""
        while True:
            await to_its_end(self._actions.live(), lambda: None)
            await workflow.wait_condition(lambda: workflow.all_handlers_finished() or self._actions.has_next)
            if self._actions.is_over:
                await workflow.wait_condition(workflow.all_handlers_finished)
                return
            if not self._actions.has_next:
                workflow.continue_as_new(self._actions.life.model_copy(update={"first": None}))


def _so_far(asked: Asked) -> ActionEnd:
    if asked.end is not None:
        return asked.end
    assert asked.begun is not None
    return ActionEnd(serial=asked.begun.serial, revision=asked.begun.revision)
