"""Failed sign-ins in the operation log: enough to see an attack by, and never so many that it fills a disk."""

from __future__ import annotations

from contextlib import suppress

from api.services.bucket import Bucket, Buckets
from gamekeeper.db.engine import Database
from gamekeeper.db.event_log import record
from gamekeeper.db.models import UserRow
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import UnavailableError

OF_ONE_PER_SECOND, OF_ONE_BURST = 1 / 60, 5.0  # of one address
PER_SECOND, BURST = 1.0, 60.0


class SignInFailures:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._of_one = Buckets(OF_ONE_PER_SECOND, OF_ONE_BURST)
        self._all = Bucket(PER_SECOND, BURST)

    async def tell(self, user: UserRow | None, network: str, address: str, reason: str, **more: str) -> None:
        """The name that was typed is told where it is a user's: else it may be a password in the wrong field. ``more``
        stands in the event's data."""
        if self._of_one.of(network).try_take() or self._all.try_take():
            return
        about = {"address": address} | ({"user": user.id} if user else {}) | more
        event = Event(
            kind=EventKind.SIGN_IN_FAILED,
            reason=reason,
            message=user.name if user else "",
            actor="anonymous",
            address=address,
            data=about,
        )
        with suppress(UnavailableError):  # the refusal does not wait for it
            async with self._database.write() as session:
                record(session, event)
