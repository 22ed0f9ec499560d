"""NotificationWorkflow: one message to one channel, from the outbox until it is taken or given up."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.control_plane.notify import NotifyActivities
    from gamekeeper.temporal import queues, workflow_names
    from gamekeeper.temporal.policies import control_activity, delivery_activity


@workflow.defn(name=workflow_names.NOTIFICATION)
class NotificationWorkflow:
    @workflow.run
    async def run(self, notification_id: str) -> str:
        """``sent`` or ``failed``; the row has the words."""
        try:
            await workflow.execute_activity_method(
                NotifyActivities.deliver,
                notification_id,
                **delivery_activity(queues.CONTROL_PLANE, summary="a message to a channel"),
            )
        except ActivityError as error:
            await workflow.execute_activity_method(
                NotifyActivities.give_up,
                args=[notification_id, _words(error)],
                **control_activity(queues.CONTROL_PLANE, summary="a message is given up"),
            )
            return "failed"
        return "sent"


def _words(error: ActivityError) -> str:
    cause = error.cause
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    return cause.message if isinstance(cause, ApplicationError) else "it could not be sent in time"
