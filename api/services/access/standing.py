"""The standing of nodes on the link: a call begins with a good certificate, and ends soon after it is void.

TLS has checked the chain when the connection was made. Since then the node may have been removed, revoked or enrolled
anew, or the certificate may have run out: connections live for weeks, and certificates for a day.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from api.services.access.held_call import HeldCall, HeldCalls
from gamekeeper.certificates.node_name import NodeCertificate
from gamekeeper.db.models.columns import utc_now
from gamekeeper.errors import UnauthenticatedError
from gamekeeper.ports.node_directory import NodeDirectory
from gamekeeper.uncancelled import uncancelled

GRACE = timedelta(minutes=1)  # for a renewal that is on its way


class NodeCall(HeldCall[NodeCertificate]):
    """One call of a node."""

    def __init__(self, certificate: NodeCertificate) -> None:
        super().__init__(certificate, _refusal)

    @property
    def node_id(self) -> str:
        return self.credential.node_id


class StandingService:
    """``watch`` is to be called every second: it ends what goes on for a node that is no longer good."""

    def __init__(self, directory: NodeDirectory, clock: Callable[[], datetime] = utc_now) -> None:
        self._directory = directory
        self._clock = clock
        self._calls = HeldCalls(self._is_good, NodeCall)
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
        with self._calls.held(certificate) as call:
            yield call

    async def watch(self) -> None:
        await self._calls.watch()

    async def _is_good(self, certificate: NodeCertificate) -> bool:
        generation = await self._directory.generation(certificate.node_id, at_least=certificate.generation)
        until = max(certificate.not_after, self._renewed.get(certificate.node_id, certificate.not_after))
        return generation == certificate.generation and self._clock() <= until + GRACE


def _refusal(certificate: NodeCertificate) -> UnauthenticatedError:
    return UnauthenticatedError(
        f"the certificate of node {certificate.node_id} is void or ran out", hint="join the node again"
    )
