"""Brings messages of alarms to channels. Retried by Temporal; what the receiver refuses is final."""

from __future__ import annotations

from temporalio import activity

from activities.control_plane.refusals import final
from gamekeeper.errors import MessageRefusedError
from gamekeeper.ports.notifier import Outbox

REFUSED = "MessageRefused"


class NotifyActivities:
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    @activity.defn(name="notify.deliver")
    async def deliver(self, notification_id: str) -> None:
        try:
            await self._outbox.deliver(notification_id)
        except MessageRefusedError as error:
            raise final(error, REFUSED) from error

    @activity.defn(name="notify.give_up")
    async def give_up(self, notification_id: str, reason: str) -> None:
        await self._outbox.give_up(notification_id, reason)
