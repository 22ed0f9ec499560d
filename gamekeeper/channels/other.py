"""Chats and push services by Apprise, an optional extra: it is large, so it is imported at the first message alone.

It follows redirects unless it is told not to, takes several addresses in one text, and sends to whatever they name: so
services and options are allow-listed, hosts are judged, and redirects are switched off. It looks a name up once more
by itself: a host that is judged by its name has to be one that nobody turns around.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from importlib import import_module
from typing import Any

from gamekeeper.channels.address import AddressGuard
from gamekeeper.domain.alarm.apprise import check_apprise
from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec
from gamekeeper.domain.alarm.message import Message
from gamekeeper.errors import InvalidError, MessageRefusedError, UnavailableError

LIMIT_SECONDS = 30.0
_NO_DETOURS = "redirect=no&discovery=no"  # the second of Matrix, which would ask a host for another one


class AppriseSender:
    def __init__(self, guard: AddressGuard, threads: Executor) -> None:
        self._guard = guard
        self._threads = threads

    async def send(self, spec: ChannelSpec, secret: ChannelSecret, message: Message) -> str:
        """As ``Sender`` says it. Most services have no place for the message's id."""
        host = await self._host(secret.url)
        links = [f"{name}: {link}" for name, link in message.links.items()]
        body, title = "\n".join([message.text, *links]), "" if spec.template else message.title
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                is_sent = await loop.run_in_executor(self._threads, _send, secret.url, host, body, title)
        except TimeoutError as error:
            raise UnavailableError(f"no answer in {LIMIT_SECONDS:.0f} s") from error
        if not is_sent:
            raise UnavailableError("the service did not take the message")
        return "taken by the service"

    async def _host(self, url: str) -> str:
        """The host that the address names, which was judged; empty where its service has one of its own."""
        try:
            parts = check_apprise(url)
        except InvalidError as error:
            raise MessageRefusedError(f"the address is refused: {error}") from error
        if parts is None:
            return ""
        await self._guard.resolve(parts.hostname or "", parts.port or 443)
        return parts.hostname or ""


def _send(url: str, host: str, body: str, title: str) -> bool:
    """Raises MessageRefusedError for an address that Apprise reads as another host than it names."""
    apprise = _library()
    service = apprise.Apprise.instantiate(url + ("&" if "?" in url else "?") + _NO_DETOURS)  # one, never a list of them
    if service is None or (host and str(service.host).strip("[]").lower() != host):
        raise MessageRefusedError("Apprise does not understand the address")
    sending = apprise.Apprise()
    sending.add(service)
    return bool(sending.notify(body=body, title=title))


def _library() -> Any:
    """Raises MessageRefusedError where the extra is not installed."""
    try:
        return import_module("apprise")
    except ImportError as error:
        raise MessageRefusedError("Apprise is not installed", hint="pip install 'gamekeeper[apprise]'") from error
