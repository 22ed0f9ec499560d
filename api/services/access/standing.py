"""The standing of nodes on the link: a call begins with a good certificate, and ends soon after it is void.

TLS has checked the chain when the connection was made. Since then the node may have been removed, revoked or enrolled
anew, or the certificate may have run out: connections live for weeks, and certificates for a day.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import TypeVar

from gamekeeper.certificates.node_name import NodeCertificate
from gamekeeper.db.models.columns import utc_now
from gamekeeper.errors import UnauthenticatedError, UnavailableError
from gamekeeper.ports.node_directory import NodeDirectory
from gamekeeper.uncancelled import uncancelled

T = TypeVar("T")

GRACE = timedelta(minutes=1)  # for a renewal that is on its way


class NodeCall:
    """One call of a node. What it does for long is done within ``work`` or ``stream``, which raise UnauthenticatedError
    as soon as the certificate is no longer good."""

    def __init__(self, certificate: NodeCertificate) -> None:
        self.certificate = certificate
        self.over = asyncio.Event()
        self._told: list[Callable[[UnauthenticatedError], None]] = []

    @property
    def node_id(self) -> str:
        return self.certificate.node_id

    def when_over(self, tell: Callable[[UnauthenticatedError], None]) -> None:
        """``tell`` is called once, with the reason, as soon as the certificate is no longer good."""
        self._told.append(tell)

    def end(self) -> None:
        if not self.over.is_set():
            self.over.set()
            for tell in self._told:
                tell(_refusal(self.certificate))

    async def work(self, work: Awaitable[T]) -> T:
        over, working = asyncio.create_task(self.over.wait()), asyncio.ensure_future(work)
        try:
            await asyncio.wait({over, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise _refusal(self.certificate)
            return working.result()
        finally:
            over.cancel()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)  # it may have a generator in its hands

    async def stream(self, items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Each item may be asked for by another task, as gRPC does it: so none of them can be the one to cancel."""
        async with aclosing(items):
            while True:
                try:
                    item = await self.work(anext(items))
                except StopAsyncIteration:
                    return
                yield item


class StandingService:
    """``watch`` is to be called every second: it ends what goes on for a node that is no longer good."""

    def __init__(self, directory: NodeDirectory, clock: Callable[[], datetime] = utc_now) -> None:
        self._directory = directory
        self._clock = clock
        self._calls: set[NodeCall] = set()
        self._renewed: dict[str, datetime] = {}
        self._newest: dict[str, NodeCertificate] = {}

    def renewed(self, node_id: str, not_after: datetime) -> None:
        """The node has a newer certificate: connections that it made with the older one stay good with it."""
        self._renewed[node_id] = not_after

    async def check(self, certificate: NodeCertificate) -> None:
        """Raises UnauthenticatedError for a certificate that is void or ran out."""
        if not await uncancelled(self._is_good(certificate)):
            raise _refusal(certificate)
        newest = self._newest.get(certificate.node_id)
        if newest is None or certificate.not_after >= newest.not_after:
            self._newest[certificate.node_id] = certificate

    def issuer(self, node_id: str) -> str:
        """The key that signed the newest certificate that the node showed; empty before it showed any."""
        found = self._newest.get(node_id)
        return found.issuer if found else ""

    @asynccontextmanager
    async def held(self, certificate: NodeCertificate) -> AsyncIterator[NodeCall]:
        """Checks the certificate, as ``check`` does, and has it watched while the block goes on."""
        await self.check(certificate)
        call = NodeCall(certificate)
        self._calls.add(call)
        try:
            yield call
        finally:
            self._calls.discard(call)

    async def watch(self) -> None:
        good: dict[NodeCertificate, bool] = {}
        for call in list(self._calls):
            if call.certificate not in good:
                with suppress(UnavailableError):  # nobody is thrown out because the database is away
                    good[call.certificate] = await self._is_good(call.certificate)
            if not good.get(call.certificate, True):
                call.end()

    async def _is_good(self, certificate: NodeCertificate) -> bool:
        generation = await self._directory.generation(certificate.node_id, at_least=certificate.generation)
        until = max(certificate.not_after, self._renewed.get(certificate.node_id, certificate.not_after))
        return generation == certificate.generation and self._clock() <= until + GRACE


def _refusal(certificate: NodeCertificate) -> UnauthenticatedError:
    return UnauthenticatedError(
        f"the certificate of node {certificate.node_id} is void or ran out", hint="join the node again"
    )
