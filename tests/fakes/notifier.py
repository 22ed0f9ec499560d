"""A channel in memory, and an outbox in memory."""

from __future__ import annotations

from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec
from gamekeeper.domain.alarm.message import Message


class FakeSender:
    """Satisfies ``Sender``. ``errors`` are raised first, one at each call."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.sent: list[Message] = []
        self.secrets: list[ChannelSecret] = []

    async def send(self, spec: ChannelSpec, secret: ChannelSecret, message: Message) -> str:
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(message)
        self.secrets.append(secret)
        return "taken"


class FakeOutbox:
    """Satisfies ``Outbox``. ``errors`` are raised first, one at each try."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.delivered: list[str] = []
        self.given_up: dict[str, str] = {}

    async def deliver(self, notification_id: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.delivered.append(notification_id)

    async def give_up(self, notification_id: str, reason: str) -> None:
        self.given_up[notification_id] = reason
