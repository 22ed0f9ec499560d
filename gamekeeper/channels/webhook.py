"""Signed webhooks: a POST of JSON, bounded in size and time, to an address that was judged, and to no other."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

from gamekeeper.channels.address import AddressGuard
from gamekeeper.domain.alarm.channel import ChannelSecret, ChannelSpec, ChannelType
from gamekeeper.domain.alarm.message import Message
from gamekeeper.errors import MessageRefusedError, UnavailableError

LIMIT_SECONDS = 10.0  # in all: a receiver that hangs holds up nothing but its own message
MAX_ANSWER, READ_SECONDS = 4096, 1.0  # bytes of it that are read, out of politeness, and for how long
PORTS = {"http": 80, "https": 443}
DELIVERY, TIMESTAMP, SIGNATURE = "Gamekeeper-Delivery", "Gamekeeper-Timestamp", "Gamekeeper-Signature"
_LATER = frozenset({408, 425, 429})  # of the answers that blame the request, these may pass


def signature(key: str, timestamp: str, body: bytes) -> str:
    """The signature, which a receiver computes anew: HMAC-SHA256 over the time stamp, a dot and the body."""
    return "v1=" + hmac.digest(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hex()


class WebhookSender:
    def __init__(self, guard: AddressGuard, now: Callable[[], float] = time.time, limit: float = LIMIT_SECONDS) -> None:
        self._guard = guard
        self._now = now
        self._limit = limit

    async def send(self, spec: ChannelSpec, secret: ChannelSecret, message: Message) -> str:
        """As ``Sender`` says it."""
        event = "heartbeat" if spec.type is ChannelType.HEARTBEAT else message.kind.value
        body = json.dumps(message.model_dump(mode="json") | {"event": event}, ensure_ascii=False).encode()
        stamp = str(int(self._now()))
        headers = {DELIVERY: message.id, TIMESTAMP: stamp, "Content-Type": "application/json"}
        if secret.key:
            headers[SIGNATURE] = signature(secret.key, stamp, body)
        try:
            status = await self._post(secret.url, headers, body)
        except TimeoutError as error:
            raise UnavailableError(f"no answer in {self._limit:.0f} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise UnavailableError(f"{type(error).__name__}: {error}"[:200]) from error
        return _judged(status)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer, which counts once its headers are there."""
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=self._limit) as client:
            async with asyncio.timeout(self._limit):
                answer = await self._answer(client, url, headers, body)
            try:
                await _read_a_little(answer)
            finally:
                await answer.aclose()
            return answer.status_code

    async def _answer(
        self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        """The connection goes to an address that was judged: a name that means another one a moment later changes
        nothing. The certificate is checked by the name all the same. An address that nobody answers at gives way to the
        next one."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        named = host if parts.port is None else f"{host}:{parts.port}"
        addresses = await self._guard.resolve(host, parts.port or PORTS[parts.scheme])
        wait = httpx.Timeout(self._limit, connect=self._limit / (len(addresses) + 1))
        for number, address in enumerate(addresses, start=1):
            request = client.build_request(
                "POST",
                httpx.URL(url).copy_with(host=address),
                content=body,
                headers={**headers, "Host": named, "User-Agent": "gamekeeper"},
                extensions={"sni_hostname": host, "timeout": wait.as_dict()},
            )
            try:
                return await client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise UnavailableError(f"the name {host} has no address")


async def _read_a_little(answer: httpx.Response) -> None:
    """A receiver that is cut off in its answer may take the message for not sent."""
    read = 0
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in answer.aiter_raw():
                read += len(chunk)
                if read > MAX_ANSWER:
                    break


def _judged(status: int) -> str:
    if 200 <= status < 300:
        return f"HTTP {status}"
    if 300 <= status < 400:
        raise MessageRefusedError(f"HTTP {status}: it answers with a redirect, which is never followed")
    if 400 <= status < 500 and status not in _LATER:
        raise MessageRefusedError(f"HTTP {status}: it does not take the message")
    raise UnavailableError(f"HTTP {status}")
