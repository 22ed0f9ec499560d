"""Chats and push services by Apprise, an optional extra: it is large, so it is imported at the first message alone.

It follows redirects unless it is told not to, and sends to whatever an address names: so services are allow-listed,
hosts are judged, and redirects are switched off.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from gamekeeper.channels.address import AddressGuard
from gamekeeper.domain.alarm.channel import APPRISE_SCHEMES, ChannelSecret, ChannelSpec
from gamekeeper.domain.alarm.message import Message
from gamekeeper.errors import MessageRefusedError, UnavailableError

LIMIT_SECONDS = 30.0
_OF_A_HOST = frozenset({"gotifys", "matrixs", "mattermosts", "ntfys", "rockets", "signals"})  # the user names it


class AppriseSender:
    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard

    async def send(self, spec: ChannelSpec, secret: ChannelSecret, message: Message) -> str:
        """As ``Sender`` says it. Most services have no place for the message's id."""
        parts = urlsplit(secret.url)
        if parts.scheme not in APPRISE_SCHEMES:
            raise MessageRefusedError(f"no messages are sent to {parts.scheme}://")
        if parts.scheme in _OF_A_HOST and parts.hostname and "." in parts.hostname:
            await self._guard.resolve(parts.hostname, parts.port or 443)
        apprise = await asyncio.to_thread(_library)
        url = secret.url + ("&" if parts.query else "?") + "redirect=no"
        links = [f"{name}: {link}" for name, link in message.links.items()]
        sending = apprise.Apprise()
        if not sending.add(url):
            raise MessageRefusedError("Apprise does not understand the address")
        body = "\n".join([message.text, *links])
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                is_sent = await sending.async_notify(body=body, title="" if spec.template else message.title)
        except TimeoutError as error:
            raise UnavailableError(f"no answer in {LIMIT_SECONDS:.0f} s") from error
        if not is_sent:
            raise UnavailableError("the service did not take the message")
        return "taken by the service"


def _library() -> Any:
    """Raises MessageRefusedError where the extra is not installed."""
    try:
        return import_module("apprise")
    except ImportError as error:
        raise MessageRefusedError("Apprise is not installed", hint="pip install 'gamekeeper[apprise]'") from error
