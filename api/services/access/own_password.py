"""One's own password: chosen anew, or removed by who signs in with passkeys alone."""

from __future__ import annotations

from api.services.access.password_hashing import PasswordHashing
from api.services.access.proving import OwnProof, Proving
from api.services.access.rates import network_of
from api.services.access.second_factor import remove_authenticator
from api.services.access.session import SessionService
from api.services.access.user import check_new_password, check_signed_in
from gamekeeper.db.event_log import record
from gamekeeper.db.repositories.passkey import PasskeyRepository
from gamekeeper.domain.access.caller import Caller
from gamekeeper.domain.access.ways_in import WaysIn
from gamekeeper.domain.event.event import Event
from gamekeeper.domain.event.event_kind import EventKind
from gamekeeper.errors import ConflictError


class OwnPassword:
    def __init__(self, proving: Proving, sessions: SessionService, hashing: PasswordHashing, ways: WaysIn) -> None:
        self._rp_id = ways.rp_id
        self._proving = proving
        self._sessions = sessions
        self._hashing = hashing

    async def change(self, by: Caller, proof: OwnProof, new: str, address: str) -> None:
        """Replaces one's own password, and ends one's other sessions. Raises as ``Proving.by`` does, and InvalidError
        for an unfit new one."""
        check_signed_in(by)
        check_new_password(new, by.name)
        password_hash = await self._hashing.hash(new, network_of(address))
        async with self._proving.by(by, proof, address, asks_code=False) as (session, user):
            user.password_hash, user.must_change, user.password_until = password_hash, False, None
            await self._sessions.end_all(session, user, "password_changed", but=by.session_id)
            about = {"user": user.id, "replaced": ["password"]}
            record(session, Event(kind=EventKind.USER_CHANGED, message=user.name, data=about))

    async def remove(self, by: Caller, proof: OwnProof, address: str) -> None:
        """Removes one's own password, with the authenticator whose codes go with it. Raises as ``Proving.by`` does,
        and ConflictError for who has no passkey."""
        async with self._proving.by(by, proof, address) as (session, user):
            if not await PasskeyRepository(session).count(user.id, self._rp_id):
                raise ConflictError(
                    "the password is your last way to sign in", hint="add a passkey first", code="last_way_in"
                )
            user.password_hash, user.must_change, user.password_until = "", False, None
            await remove_authenticator(session, user)
            await self._sessions.end_all(session, user, "password_removed", but=by.session_id)
            about = {"user": user.id, "replaced": ["password_removed"]}
            record(session, Event(kind=EventKind.USER_CHANGED, message=user.name, data=about))
