"""Whatever brings a message to a channel, and the outbox that it comes from."""

from __future__ import annotations

from typing import Protocol

from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec
from gamekeeper.domain.alarm.message import Message


class Sender(Protocol):
    async def send(self, spec: ChannelSpec, secret: ChannelSecret, message: Message) -> str:
        """Brings one message there; what the receiver answered, in a few words. Bounded in time. Not idempotent, but
        the message's id is sent with it. A cancelled call may have brought it or not. Raises UnavailableError for what
        may pass, and MessageRefusedError for what stays."""
        ...


class Outbox(Protocol):
    async def deliver(self, notification_id: str) -> None:
        """Sends a notification and notes that. Idempotent but for a process that dies between both: the receiver sees
        the same id again. Raises UnavailableError for what may pass, MessageRefusedError for what stays."""
        ...

    async def give_up(self, notification_id: str, reason: str) -> None:
        """Notes that it is not tried any more. Idempotent; short. Raises UnavailableError."""
        ...
