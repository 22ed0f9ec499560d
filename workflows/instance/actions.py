"""The actions on one instance: one at a time, and each of them an order to the keeper on its node.

The keeper holds what it was ordered, so nothing goes on here while an instance only runs: no timer, no poll.
"""

from __future__ import annotations

import builtins
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.instances import GONE, InstanceStoreActivities
    from gamekeeper.domain.instance.control import (
        REFUSED,
        ActionBegin,
        ActionBegun,
        ActionEnd,
        ActionFinish,
        InstanceAction,
        InstanceLife,
    )
    from gamekeeper.domain.instance.order import InstanceOrder, InstanceOutcome
    from gamekeeper.domain.instance.state import Desired, InstanceState
    from gamekeeper.domain.node.node import NodeMode, NodeView
    from gamekeeper.temporal import queues
    from gamekeeper.temporal.policies import UNHEARD_OF, control_activity, keeper_activity
    from workflows.instance.asked import Asked
    from workflows.instance.ends import end_of, kind_of, outcome_of, unheard_of, words_of

CARRY_OUT = "instance.carry_out"
MAX_EVENTS = 3000
MAX_WAIT = timedelta(days=365)  # a longer timer is armed again


class InstanceActions:
    """``life`` is all that another run of the workflow has to know."""

    def __init__(self, life: InstanceLife) -> None:
        self.life = life.model_copy()
        self.is_over = False
        self._next = self._first()
        self._current: Asked | None = None
        self._keeps_none = False  # its node's agent is of a version that has no keeper
        self._is_told = False  # the current action has its end, which only has to be written
        self._since = workflow.now()
        self._count = 0
        self._view: NodeView | None = None
        self._repeats = False
        self._expiry_moved = self.begins_anew = False

    def _first(self) -> Asked | None:
        return Asked(self.life.first, self.life.desired, self.life.by) if self.life.first is not None else None

    @property
    def desired(self) -> Desired:
        return self.life.desired

    def update_node(self, view: NodeView) -> None:
        self._view = view

    def repeat(self) -> None:
        self._repeats = True

    def expire_at(self, moment: datetime | None) -> None:
        self.life.expires_at = moment
        self._expiry_moved = True

    def check(self, action: InstanceAction) -> None:
        """Raises ValueError for an action that can't begin now, with who holds the lock and what to do."""
        if self.is_over:
            raise ValueError(f'instance "{self.life.instance}" is gone')
        if action.passes:
            return
        busy = self._next or (None if self._is_told else self._current)
        if busy is not None and busy.action is not InstanceAction.REPEAT:  # what somebody asks for is newer than that
            since = f"{self._since:%Y-%m-%d %H:%M:%S} UTC"
            raise ValueError(f"{busy} goes on since {since}; wait for its end, or kill the instance, which passes it")
        if self.desired is Desired.REMOVED:
            raise ValueError(f'instance "{self.life.instance}" is being removed')

    async def ask(self, asked: Asked) -> Asked:
        """Begins the action, in the place of one that it passes. Raises ApplicationError for one that is refused."""
        if self._next is not None:
            self._next.refused = f"{asked} took its place"
        self._next = asked
        await workflow.wait_condition(lambda: asked.is_answered)
        if asked.refused:
            raise ApplicationError(
                asked.refused, type=REFUSED, non_retryable=True, category=ApplicationErrorCategory.BENIGN
            )
        return asked

    @property
    def has_next(self) -> bool:
        return self._next is not None

    async def live(self) -> None:
        """Does what is due, until the instance is gone or the history has grown long."""
        while not self.is_over:
            await self._until_due()
            asked = self._take()
            if asked is not None:
                await self._perform(asked)
            if self._is_long and self._next is None:
                return
        if self._next is not None:
            self._next.refused = f'instance "{self.life.instance}" is gone'

    @property
    def _is_long(self) -> bool:
        info = workflow.info()
        return self.begins_anew or info.get_current_history_length() > MAX_EVENTS or info.is_continue_as_new_suggested()

    async def _until_due(self) -> None:
        self._expiry_moved = False
        try:
            await workflow.wait_condition(
                lambda: self._next is not None or self._is_nudged,
                timeout=self._until_expiry(),
                timeout_summary="the end of the instance's time",
            )
        except builtins.TimeoutError:
            return

    @property
    def _is_nudged(self) -> bool:
        return self._view is not None or self._repeats or self._expiry_moved or self.begins_anew

    def _until_expiry(self) -> timedelta | None:
        """None for an instance that has no end, or that does not run: it needs no timer."""
        if self.life.expires_at is None or self.desired is not Desired.RUNNING:
            return None
        return min(MAX_WAIT, max(timedelta(milliseconds=1), self.life.expires_at - workflow.now()))

    def _take(self) -> Asked | None:
        """The next action: somebody's, or what the instance's own time and node ask for."""
        asked, self._next = self._next, None
        if asked is None:
            action = self._due()
            asked = Asked(action, self._desired_after(action)) if action else None
        return asked

    def _due(self) -> InstanceAction | None:
        view, self._view = self._view, None
        repeats, self._repeats = self._repeats, False
        runs, expires = self.desired is Desired.RUNNING, self.life.expires_at
        if runs and expires is not None and expires <= workflow.now():
            self.life.expires_at = None
            return InstanceAction.EXPIRE
        if runs and view is not None and view.mode is NodeMode.DISABLED and self.life.held is None:
            return InstanceAction.HOLD
        if runs and view is not None and view.mode is NodeMode.ACTIVE and self.life.held is not None:
            return InstanceAction.RELEASE
        return InstanceAction.REPEAT if repeats else None

    def _desired_after(self, action: InstanceAction) -> Desired:
        return Desired.STOPPED if action is InstanceAction.EXPIRE else self.desired

    async def _perform(self, asked: Asked) -> None:
        self._current, self._since, self._is_told, self._keeps_none = asked, workflow.now(), False, False
        try:
            begun = await self._begin(asked)
            if begun is not None:
                asked.end = await self._done(asked, begun)
        finally:
            self._current = None
            if asked.end is None:
                asked.end = ActionEnd(serial=self.life.serial, revision=self.life.revision, message=asked.refused)

    async def _begin(self, asked: Asked) -> ActionBegun | None:
        self._count += 1
        argument = ActionBegin(
            instance=self.life.instance,
            token=f"{workflow.info().run_id}/{self._count}",
            action=asked.action,
            serial=self.life.serial + 1,
            desired=asked.desired,
            **asked.terms,
            made=self.life.made,
        )
        try:
            begun = await workflow.execute_activity_method(
                InstanceStoreActivities.begin,
                argument,
                **control_activity(queues.CONTROL_PLANE, summary=f"begin {asked.action}"),
            )
        except ActivityError as error:
            asked.refused = words_of(error)
            self.is_over = kind_of(error) == GONE
            return None
        self.life.serial, self.life.revision = begun.serial, begun.revision
        self.life.desired, self.life.held = asked.desired, begun.held
        self.life.strategy = asked.strategy if asked.action.makes_revision else self.life.strategy
        self.life.volumes = self.life.volumes or asked.volumes
        asked.begun = begun
        return begun

    async def _done(self, asked: Asked, begun: ActionBegun) -> ActionEnd:
        outcome, failure = None, ""
        if begun.node_is_there:
            outcome, failure = await self._carry_out(asked, begun)
            self.life.adopted = None if outcome else self.life.adopted  # the keeper has it
        else:
            failure = f"node {self.life.node} was removed"
        if outcome is None and not failure:
            taken = f"{self._next} took its place" if self._next else "another action took its place"
            return ActionEnd(serial=begun.serial, revision=begun.revision, message=taken)
        end = end_of(begun, outcome, failure)
        reverts = self._next is None and asked.wants_the_one_before(begun, end)
        self._is_told = not reverts
        is_deleted = await self._finish(asked, begun, outcome, failure)
        if is_deleted is None:  # the activity of before did not tell
            gone = end.state is InstanceState.DELETED or not begun.node_is_there
            is_deleted = asked.desired is Desired.REMOVED and gone
        self.is_over = self.is_over or is_deleted
        if reverts and self._next is None:
            await self._perform(Asked(InstanceAction.REVERT, self.desired, reason=end.message, revision=begun.before))
            end = end.model_copy(update={"reverted": True})
        return end

    async def _carry_out(self, asked: Asked, begun: ActionBegun) -> tuple[InstanceOutcome | None, str]:
        """The outcome, or why there is none. Neither, when another action takes this one's place meanwhile."""
        handle = workflow.start_activity(
            CARRY_OUT,
            self._order(asked, begun),
            result_type=RawValue,
            activity_id=f"{begun.serial}.{asked.action}",
            **keeper_activity(queues.node_control_queue(self.life.node), summary=str(asked)),
        )
        await workflow.wait_condition(lambda: handle.done() or self._next is not None or self._is_stranded)
        if not handle.done():
            handle.cancel()
            handle.add_done_callback(lambda done: done.cancelled() or done.exception())
            return None, "" if self._next is not None else f"node {self.life.node} was removed"
        try:
            return outcome_of(await handle, self.life.node, begun.agent)
        except ActivityError as error:
            if kind_of(error) == UNHEARD_OF:
                self._keeps_none = True
                return None, unheard_of(self.life.node, begun.agent)
            return None, words_of(error)

    @property
    def _is_stranded(self) -> bool:
        return self._view is not None and self._view.is_removed

    def _order(self, asked: Asked, begun: ActionBegun) -> InstanceOrder:
        return InstanceOrder(
            instance=self.life.instance,
            node=self.life.node,
            serial=begun.serial,
            desired=Desired.STOPPED if begun.held else asked.desired,
            revision=begun.revision,
            spec=begun.spec,
            kill=asked.kill or asked.action is InstanceAction.KILL,
            restart=asked.action is InstanceAction.RESTART,
            volumes=asked.volumes or (self.life.volumes and asked.desired is Desired.REMOVED),
            held=asked.held_for(begun),
            by=asked.by,
            caller=begun.caller,
            pipeline=self.life.pipeline,
            strategy=self.life.strategy,
            adopted=self.life.adopted,
        )

    async def _finish(
        self, asked: Asked, begun: ActionBegun, outcome: InstanceOutcome | None, failure: str
    ) -> bool | None:
        """True where the instance is deleted by it; None where nobody tells. What can't be kept is a failure."""
        argument = ActionFinish(
            instance=self.life.instance,
            serial=begun.serial,
            action=asked.action,
            outcome=outcome,
            failure=failure,
            keeps_none=self._keeps_none,
            made=self.life.made,
        )
        try:
            return await workflow.execute_activity_method(
                InstanceStoreActivities.finish,
                argument,
                **control_activity(queues.CONTROL_PLANE, summary=f"end of {asked.action}"),
            )
        except ActivityError as error:
            workflow.logger.warning("the end of %s of %s can't be kept: %s", asked, self.life.instance, error.cause)
            self.is_over = self.is_over or kind_of(error) == GONE
            if outcome is None or self.is_over:
                return False
            return await self._finish(asked, begun, None, f"its end can't be kept: {words_of(error)}")
