"""The gate before all routes: who may send a body, how large and how slow it may be, and who reads an answer.

It decides on nothing but what a request may cost. Each route asks for the key itself; here the same question is asked
before a body is read, so that strangers cost no memory. Sizes, times and numbers are bounded for each address and in
all, and an answer that nobody reads is cut off.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.dependencies import Services, caller_of
from api.problems import WEBSOCKET_CLOSE, ProblemDetails, from_error, problem_response, retry_after
from api.services.access.rates import network_of
from gamekeeper.errors import GamekeeperError, InvalidError, TooLargeError, TooOftenError
from gamekeeper.logging import get_logger
from gamekeeper.whole_number import whole_number

log = get_logger(__name__)

KIB, MIB = 1024, 1024 * 1024
JOIN = "/api/v1/join"  # whoever asks for this, and for the sign-ins, has no key yet
SIGN_INS = frozenset(
    {
        "/api/v1/sign-in",
        "/api/v1/sign-in/link",
        "/api/v1/sign-in/oidc",
        "/api/v1/sign-in/passkey",
        "/api/v1/sign-in/passkey/options",
    }
)
ALARM_LINKS = "/api/v1/alarm-links/"  # the link is the key
_NUL = (b"\x00", b"\\u0000")
_READS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class GateLimits:
    body_bytes: int = 2 * MIB
    join_bytes: int = 32 * KIB
    sign_in_bytes: int = 16 * KIB
    body_seconds: float = 10.0  # for a body, and one more for each ``least_rate`` bytes of it
    least_rate: int = 16 * KIB
    small_chunks: int = 256  # so many may be smaller than ``small_bytes`` in the mean
    small_bytes: int = 32
    held_bytes: int = 64 * MIB  # of all bodies that are being read
    held_bytes_of_one: int = 16 * MIB
    open_requests: int = 4096
    open_requests_of_one: int = 1024
    send_seconds: float = 30.0  # for the client to take a piece of an answer


class Gate:
    """``of_one`` in its limits means one address, as ``network_of`` names it."""

    def __init__(self, app: ASGIApp, limits: GateLimits | None = None) -> None:
        self._app = app
        self._limits = limits or GateLimits()
        self._open: Counter[str] = Counter()
        self._held: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        network = network_of(address_of(scope))
        try:
            with self._counted(network):
                if scope["type"] == "websocket" or scope["method"] in _READS:
                    await self._answer(scope, receive, send)
                else:
                    await self._write(scope, receive, send, network)
        except _RefusedError as refused:
            await _refuse(refused.error, scope, receive, send)

    async def _write(self, scope: Scope, receive: Receive, send: Send, network: str) -> None:
        """The key, and the rate at which its owner may write, come before the first byte of the body."""
        limit = self._limit_of(scope["path"])
        try:
            await _check_caller(scope)
            announced = whole_number(Headers(scope=scope).get("content-length", "0"))
            if announced is None or announced > limit:
                raise _too_large(limit)
        except GamekeeperError as error:
            raise _RefusedError(error) from error
        if scope["method"] == "DELETE":  # no route reads a body of it
            await self._answer(scope, receive, send)
            return
        body = bytearray()
        try:
            is_whole = await self._read(body, receive, network, limit)
            if any(nul in body for nul in _NUL):
                raise InvalidError("the body holds a NUL", code="nul")
        except GamekeeperError as error:
            raise _RefusedError(error) from error
        finally:
            self._held[network] -= len(body)
        if is_whole:
            await self._answer(scope, _replay(bytes(body), receive), send)

    def _limit_of(self, path: str) -> int:
        if path in SIGN_INS:
            return self._limits.sign_in_bytes
        return self._limits.join_bytes if path == JOIN else self._limits.body_bytes

    async def _read(self, body: bytearray, receive: Receive, network: str, limit: int) -> bool:
        """Reads all into ``body``; False where the client went."""
        limits, begun, count = self._limits, time.monotonic(), 0
        while True:
            left = begun + limits.body_seconds + len(body) / limits.least_rate - time.monotonic()
            try:
                async with asyncio.timeout(left):
                    message = await receive()
            except TimeoutError:
                raise InvalidError(
                    f"the body came too slowly: {len(body)} bytes in {time.monotonic() - begun:.0f} s", code="slow_body"
                ) from None
            if message["type"] == "http.disconnect":
                return False
            piece = message.get("body", b"")
            count += 1
            self._hold(body, piece, network, limit)
            if count > limits.small_chunks and len(body) < count * limits.small_bytes:
                raise InvalidError("the body comes in pieces of a few bytes", code="small_pieces")
            if not message.get("more_body", False):
                return True

    def _hold(self, body: bytearray, piece: bytes, network: str, limit: int) -> None:
        """Raises TooLargeError for too long a body, TooOftenError where the bodies of all, or of one, are too much."""
        if len(body) + len(piece) > limit:
            raise _too_large(limit)
        of_one, in_all = self._held[network] + len(piece), self._held.total() + len(piece)
        if of_one > self._limits.held_bytes_of_one or in_all > self._limits.held_bytes:
            raise TooOftenError("too many large bodies are sent at once", after_seconds=2.0)
        self._held[network] += len(piece)
        body += piece

    @contextmanager
    def _counted(self, network: str) -> Iterator[None]:
        of_one, in_all = self._limits.open_requests_of_one, self._limits.open_requests
        if self._open[network] >= of_one or self._open.total() >= in_all:
            raise _RefusedError(TooOftenError("too many requests are open at once", after_seconds=5.0))
        self._open[network] += 1
        try:
            yield
        finally:
            self._open[network] -= 1
            if not self._open[network]:
                del self._open[network]
            if not self._held[network]:
                del self._held[network]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Cuts an answer off that the client does not take, with a line in the log: else it is kept for as long as the
        client likes."""
        is_cut = False

        async def timed(message: Message) -> None:
            nonlocal is_cut
            try:
                async with asyncio.timeout(self._limits.send_seconds):
                    await send(message)
            except TimeoutError:
                is_cut = True
                raise OSError("the client reads nothing") from None

        try:
            await self._app(scope, receive, timed)
        except Exception:
            if not is_cut:
                raise
        if is_cut:
            _services(scope).rates.refusals["unread"] += 1
            told = f"{address_of(scope)} took nothing of {scope['path'][:200]!r} for {self._limits.send_seconds:.0f} s"
            log.warning("%s: cut off", told)


class _RefusedError(Exception):
    """Carries a refusal of the gate past the routes, whose own errors they answer themselves."""

    def __init__(self, error: GamekeeperError) -> None:
        super().__init__(str(error))
        self.error = error


def address_of(scope: Scope) -> str:
    """The client's address: the connection's, or what a configured proxy says."""
    return str(scope["client"][0]) if scope.get("client") else ""


async def _check_caller(scope: Scope) -> None:
    services, address = _services(scope), address_of(scope)
    if scope["path"] == JOIN or scope["path"].startswith(ALARM_LINKS):
        services.rates.check_sign_in(address)
        return
    if scope["path"] in SIGN_INS:
        services.sign_ins.check_address(address)
        return
    caller = await caller_of(services, scope, Headers(scope=scope).get("authorization", ""))
    services.rates.check_write(caller, address)


def _services(scope: Scope) -> Services:
    found: Services = scope["app"].state.services
    return found


async def _refuse(error: GamekeeperError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": WEBSOCKET_CLOSE + 429, "reason": error.message})
        return
    details = _STATUS[error.code](error) if error.code in _STATUS else from_error(error)
    await problem_response(details, {"Connection": "close"} | retry_after(error))(scope, receive, send)


_STATUS = {
    "nul": lambda error: ProblemDetails(title="Bad request", status=400, detail=error.message, code=error.code),
    "small_pieces": lambda error: ProblemDetails(
        title="Bad request", status=400, detail=error.message, code=error.code, hint="send it in one piece"
    ),
    "slow_body": lambda error: ProblemDetails(
        title="Request timeout", status=408, detail=error.message, code=error.code, hint="send it faster, or less"
    ),
}


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"the body is over the limit of {limit // KIB} KiB",
        hint="move long scripts and data into the image or a volume",
    )
