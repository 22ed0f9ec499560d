"""The CA as an operator sees it: its roots, a rotation, and the nodes that don't know the newest root yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.services.access.certificate import CertificateService
from api.services.access.standing import GRACE, StandingService
from gamekeeper.certificates.authority import Root
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.node import NodeRepository
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError


@dataclass(frozen=True)
class AuthorityState:
    """``behind`` are the nodes that have not been seen with a certificate of the newest root while older ones are
    trusted: what is left of the overlap is theirs."""

    roots: list[Root]
    is_outside: bool
    behind: list[str]


class AuthorityService:
    """``ask_to_renew`` asks all connected agents for a new certificate."""

    def __init__(
        self,
        database: Database,
        certificates: CertificateService,
        standing: StandingService,
        ask_to_renew: Callable[[], None],
    ) -> None:
        self._database = database
        self._certificates = certificates
        self._standing = standing
        self._ask_to_renew = ask_to_renew

    async def state(self) -> AuthorityState:
        roots = self._certificates.trusted
        behind = await self._behind(roots) if len(roots) > 1 else []
        return AuthorityState(roots, self._certificates.authority.is_outside, behind)

    async def rotate(self, overlap: timedelta, *, again: bool) -> AuthorityState:
        """A new root. Connected agents learn it within a minute, others when they come back within ``overlap``.

        Raises ConflictError for an outside CA, while an earlier overlap goes on unless ``again``, and for too many
        roots; UnavailableError on a full disk.
        """
        older = [root for root in self._certificates.trusted if not root.signs]
        if older and not again:
            until = max(root.trusted_until for root in older)
            raise ConflictError(
                f"the CA was rotated already: an older root is trusted until {until:%Y-%m-%d %H:%M} UTC",
                hint="gamekeeper ca show; to rotate once more all the same: gamekeeper ca rotate --again",
            )
        async with self._database.write() as session:
            await self._certificates.rotate(overlap)
            until = max(root.trusted_until for root in self._certificates.trusted if not root.signs)
            data = {"pin": self._certificates.pin, "overlap_until": until.isoformat()}
            record(session, Event(kind=EventKind.CA_ROTATED, data=data))
        self._ask_to_renew()
        return await self.state()

    async def _behind(self, roots: list[Root]) -> list[str]:
        newest = next(root for root in roots if root.signs)
        async with self._database.read() as session:
            joined = await NodeRepository(session).joined()
        return [node_id for node_id, seen_at in joined.items() if not self._knows(node_id, seen_at, newest.made_at)]

    def _knows(self, node_id: str, seen_at: datetime | None, rotated_at: datetime) -> bool:
        """True for a node that showed a certificate of the newest root, or was there when all older ones had run out:
        what was shown to an earlier api process is not known."""
        if self._standing.issuer(node_id) == self._certificates.authority.key_id:
            return True
        lifetime = timedelta(seconds=self._certificates.node_lifetime_seconds)
        return seen_at is not None and seen_at > rotated_at + lifetime + GRACE
