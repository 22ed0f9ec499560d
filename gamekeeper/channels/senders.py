"""The sender of each type of channel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from gamekeeper.channels.address import AddressGuard
from gamekeeper.channels.mail import MailSender
from gamekeeper.channels.other import AppriseSender
from gamekeeper.channels.webhook import WebhookSender
from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec, ChannelType
from gamekeeper.domain.alarm.message import Message
from gamekeeper.ports.notifier import Sender

THREADS = 8  # of their own: a server that hangs holds up messages, and nothing else of the process


class Senders:
    def __init__(self, guard: AddressGuard) -> None:
        threads = ThreadPoolExecutor(THREADS, "channel")
        webhook = WebhookSender(guard)
        self._of: dict[ChannelType, Sender] = {
            ChannelType.WEBHOOK: webhook,
            ChannelType.HEARTBEAT: webhook,
            ChannelType.MAIL: MailSender(guard, threads),
            ChannelType.APPRISE: AppriseSender(guard, threads),
        }

    async def send(self, spec: ChannelSpec, secret: ChannelSecret, message: Message) -> str:
        """As ``Sender`` says it."""
        return await self._of[spec.type].send(spec, secret, message)
