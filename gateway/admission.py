"""Tells which node a call is from, and ends what is open when a node is no longer let in.

A call costs no question to the database: the generations of nodes that are here are asked for once a second, and the
last answer stands while the database is away or hangs. So a frozen database delays no step, and a node that was revoked
is out within 5 seconds: 3 that the directory may be old, and one round of ``look``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from gamekeeper.certificates.node_name import NodeCertificate, node_of
from gamekeeper.errors import UnauthenticatedError, UnavailableError
from gamekeeper.logging import get_logger
from gamekeeper.ports.node_directory import NodeDirectory
from gateway.refusal import Reason, Refusal
from gateway.tokens import Caller

log = get_logger(__name__)

TLS_VERSION = b"TLSv1.3"  # gRPC's servers can't refuse older versions in the handshake
WATCH_SECONDS = 1.0
ASK_SECONDS = 2.0
REMEMBERED_SECONDS = 600.0


class Endable(Protocol):
    """A call that is open. ``end`` is idempotent and never blocks."""

    def end(self, refusal: Refusal) -> None: ...


class _Node:
    def __init__(self, generation: int, now: float) -> None:
        self.generation = generation
        self.seen_at = now
        self.open: dict[Endable, int] = {}  # with the generation of its certificate


class Admission:
    """Knows the nodes that called lately, and their open calls."""

    def __init__(
        self,
        directory: NodeDirectory,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._today = today
        self._nodes: dict[str, _Node] = {}

    async def caller(self, auth: Mapping[str, Iterable[bytes]]) -> Caller:
        """The node of a call, by gRPC's ``auth_context`` of it. Raises Refusal."""
        if list(auth.get("ssl_tls_version", ())) != [TLS_VERSION]:
            raise Refusal(Reason.TLS, "this connection is not TLS 1.3", hint="bring the agent up to date")
        try:
            certificate = node_of(auth)
        except UnauthenticatedError as error:
            raise Refusal(Reason.CERTIFICATE, error.message, hint=error.hint) from error
        if certificate.not_after <= self._today():
            raise Refusal(
                Reason.EXPIRED,
                f"the certificate of node {certificate.node_id} ran out at {certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
                hint="see that the agent reaches the api, which renews it",
            )
        await self._check(certificate)
        return Caller(certificate.node_id, certificate.generation)

    @contextmanager
    def opened(self, caller: Caller, call: Endable) -> Iterator[None]:
        """Ends this call when its node is no longer let in."""
        node = self._nodes.get(caller.node_id)
        if node is None or node.generation != caller.generation:
            raise _revoked(caller.node_id)
        node.open[call] = caller.generation
        try:
            yield
        finally:
            node.open.pop(call, None)

    async def look(self) -> None:
        """One round of the watch: asks for each node, and ends the calls of those that are out.

        Raises UnavailableError while the directory does not answer; the last answers stand.
        """
        for node_id, node in list(self._nodes.items()):
            if not node.open and self._clock() - node.seen_at > REMEMBERED_SECONDS:
                del self._nodes[node_id]
                continue
            found = await self._ask(node_id, node.generation)
            if found is None:
                del self._nodes[node_id]
            else:
                node.generation = found
            for call, generation in list(node.open.items()):
                if generation != found:
                    call.end(_revoked(node_id))

    def end_all(self, refusal: Refusal) -> None:
        for node in self._nodes.values():
            for call in list(node.open):
                call.end(refusal)

    async def _check(self, certificate: NodeCertificate) -> None:
        node = self._nodes.get(certificate.node_id)
        if node is None or node.generation < certificate.generation:
            node = await self._learn(certificate)
        if node.generation != certificate.generation:
            raise _revoked(certificate.node_id)
        node.seen_at = self._clock()

    async def _learn(self, certificate: NodeCertificate) -> _Node:
        """Asks for a node that is not known yet, or that shows a newer certificate than we know of."""
        node_id = certificate.node_id
        try:
            found = await self._ask(node_id, certificate.generation)
        except UnavailableError as error:
            raise Refusal(
                Reason.UNKNOWN_NODES, "the database with the nodes does not answer", hint="the call may be repeated"
            ) from error
        if found is None:
            raise _revoked(node_id)
        node = self._nodes.get(node_id)
        if node is None:
            node = self._nodes[node_id] = _Node(found, self._clock())
        node.generation = max(node.generation, found)
        return node

    async def _ask(self, node_id: str, at_least: int) -> int | None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await self._directory.generation(node_id, at_least)
        except TimeoutError as error:
            raise UnavailableError("the directory of nodes does not answer") from error


def _revoked(node_id: str) -> Refusal:
    return Refusal(
        Reason.REVOKED,
        f"node {node_id} was removed or revoked, or has joined again with another key",
        hint=f"to let this machine in, make a token with `gamekeeper node enrol {node_id}` and join it anew",
    )
