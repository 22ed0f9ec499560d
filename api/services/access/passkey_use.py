"""The use of a passkey, to sign in or to prove once more who asks: checked first, and taken within the transaction that
does what it is for."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from api.services.access.ceremonies import Ceremonies, Opened
from api.services.access.passkey_answers import Answer, Use, check_count, check_use, wrong_answer
from gamekeeper.db.engine import Database
from gamekeeper.db.models import PasskeyRow, UserRow
from gamekeeper.db.models.columns import utc_now
from gamekeeper.db.repositories.passkey import PasskeyRepository
from gamekeeper.db.repositories.user import UserRepository
from gamekeeper.domain.access.passkey import Ceremony
from gamekeeper.errors import InvalidError

UNKNOWN = "unknown_passkey"


@dataclass(frozen=True)
class Answered:
    """A browser's answer to a challenge. ``bound_to`` is the browser or the session that brings it."""

    ticket: str
    answer: Answer
    bound_to: str


@dataclass(frozen=True)
class Checked:
    """An answer that is right, and not taken yet."""

    credential_id: str
    user_id: str
    use: Use
    opened: Opened


class PasskeyUses:
    def __init__(self, database: Database, ceremonies: Ceremonies) -> None:
        self._database = database
        self._ceremonies = ceremonies

    async def find(self, answer: Answer) -> tuple[PasskeyRow, UserRow] | None:
        """The passkey that an answer names, and its user."""
        async with self._database.read() as session:
            row = await PasskeyRepository(session).find_credential(str(answer["id"]))
            user = await UserRepository(session).find(row.user_id) if row is not None else None
        return (row, user) if row is not None and user is not None else None

    async def check(self, ceremony: Ceremony, answered: Answered, row: PasskeyRow | None) -> Checked:
        """Raises InvalidError for an answer that is wrong, and for a passkey that nobody has; ConflictError where
        passkeys are not set up."""
        opened = await self._ceremonies.open(answered.ticket, ceremony, answered.bound_to)
        if row is None:
            raise unknown_passkey()
        use = await check_use(answered.answer, opened, row.public_key)
        if use.user_handle != row.user_id and (use.user_handle or ceremony is Ceremony.SIGN_IN):
            raise wrong_answer("the passkey is another user's")
        return Checked(row.credential_id, row.user_id, use, opened)

    async def take(self, session: AsyncSession, checked: Checked, address: str) -> None:
        """Within a transaction that holds the user. Raises InvalidError for a passkey that was removed meanwhile or
        that has a copy, and for a challenge that was answered before."""
        row = await PasskeyRepository(session).find_credential(checked.credential_id)
        if row is None or row.user_id != checked.user_id:
            raise unknown_passkey()
        await self._ceremonies.spend(session, checked.opened)
        check_count(row.sign_count, checked.use.sign_count)
        row.sign_count, row.last_used_at, row.last_used_from = checked.use.sign_count, utc_now(), address[:64]


def unknown_passkey() -> InvalidError:
    return InvalidError(
        "no user of this server has this passkey, or has it any more",
        hint="sign in another way, and add it anew",
        code=UNKNOWN,
    )
