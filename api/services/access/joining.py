"""Joining: a machine brings a token or a join key, or a node its key, and goes with a certificate for its own key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from api.services.access.certificate import CertificateService
from api.services.access.enrolment import ENROL_AGAIN, KEY_UNKNOWN, EnrolmentService
from api.services.access.key_join import KeyJoinService, Machine
from api.services.access.standing import StandingService
from gamekeeper.db.models import JoinRow
from gamekeeper.errors import PreconditionError, UnauthenticatedError
from gamekeeper.keys import is_join_key
from gamekeeper.ports.node_directory import NodeDirectory
from gamekeeper.rpc.version import version_problem


@dataclass(frozen=True)
class Joined:
    """``node_key`` and ``policy``, the join key's template, are told to a new node, this once."""

    node_id: str
    node_key: str
    certificate: str
    roots: str
    lifetime_seconds: int
    link_port: int
    gateway_port: int
    policy: dict[str, Any] | None = None


class JoinService:
    """``link_port`` is known once the node link is bound to its port. ``check_in_time`` raises LaterError while this
    process has no time for newcomers."""

    def __init__(
        self,
        *,
        enrolment: EnrolmentService,
        by_key: KeyJoinService,
        certificates: CertificateService,
        directory: NodeDirectory,
        standing: StandingService,
        gateway_port: int,
        check_in_time: Callable[[], None] = lambda: None,
    ) -> None:
        self._check_in_time = check_in_time
        self._standing = standing
        self._enrolment = enrolment
        self._by_key = by_key
        self._certificates = certificates
        self._directory = directory
        self._gateway_port = gateway_port
        self.link_port = 0

    @property
    def roots(self) -> str:
        return self._certificates.roots

    async def join(self, *, token: str, csr: str, protocol_version: int, machine: Machine) -> Joined | JoinRow:
        """Spends a token, or a use of a join key. A request that can't be granted spends nothing.

        A join that waits for an operator is the answer to a join key only. Raises UnauthenticatedError, InvalidError
        for the request, PreconditionError for a protocol that differs.
        """
        fingerprint = self._check(csr, protocol_version)
        if is_join_key(token):
            enrolled = await self._by_key.register(token, fingerprint, machine)
            if isinstance(enrolled, JoinRow):
                return enrolled
        else:
            enrolled = await self._enrolment.register(token, machine.node_id)
        joined = self._joined(enrolled.node_id, enrolled.node_key, csr, enrolled.generation)
        return replace(joined, policy=enrolled.policy)

    async def return_by_key(self, *, authorization: str, csr: str, protocol_version: int) -> Joined:
        """A certificate for a node that still has its key: the one that it had ran out. Idempotent. Raises as above."""
        self._check(csr, protocol_version)
        node_id = await self._enrolment.authenticate(authorization)
        generation = await self._directory.generation(node_id)
        if generation is None:
            raise UnauthenticatedError(KEY_UNKNOWN, hint=ENROL_AGAIN)
        generation = generation or await self._enrolment.first_generation(node_id)
        return self._joined(node_id, "", csr, generation)

    async def renew(self, node_id: str, csr: str) -> Joined:
        """The next certificate of a node whose present one is good. Idempotent. Raises InvalidError."""
        generation = await self._directory.generation(node_id)
        if generation is None:
            raise UnauthenticatedError(f"node {node_id} was revoked", hint=ENROL_AGAIN)
        return self._joined(node_id, "", csr, generation)

    def _check(self, csr: str, protocol_version: int) -> str:
        """The fingerprint of the request's key."""
        self._check_in_time()
        problem = version_problem(protocol_version, other_is="agent")
        if problem:
            raise PreconditionError(problem)
        return self._certificates.check(csr)

    def _joined(self, node_id: str, node_key: str, csr: str, generation: int) -> Joined:
        issued = self._certificates.issue(csr, node_id, generation)
        self._standing.renewed(node_id, issued.not_after)
        return Joined(
            node_id=node_id,
            node_key=node_key,
            certificate=issued.chain_pem,
            roots=self._certificates.roots,
            lifetime_seconds=self._certificates.node_lifetime_seconds,
            link_port=self.link_port,
            gateway_port=self._gateway_port,
        )
