"""Users and their sessions: of a password and of a session's token only a hash is stored."""

import secrets
from datetime import datetime

from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now
from gamekeeper.domain.access.role import Role
from gamekeeper.domain.access.user import UserKind, UserState


class UserRow(SQLModel, table=True):
    """``name_key`` and ``name_looks`` hold that no name is another one's, or looks like it. ``password_until`` is the
    end of a one-time password."""

    __tablename__ = "users"

    id: str = Field(default_factory=lambda: secrets.token_hex(8), primary_key=True, max_length=16)
    name: str = Field(max_length=64)
    name_key: str = Field(max_length=256, unique=True)
    name_looks: str = Field(max_length=1024, unique=True)
    display_name: str = Field(default="", max_length=200)
    kind: str = Field(default=UserKind.PERSON, max_length=16)
    role: str = Field(default=Role.VIEWER, max_length=16)
    state: str = Field(default=UserState.ACTIVE, max_length=16)
    password_hash: str = Field(default="", max_length=200)
    password_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    must_change: bool = False
    has_totp: bool = False
    created_by: str = Field(default="", max_length=210)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_sign_in_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_sign_in_from: str = Field(default="", max_length=64)

    @property
    def has_password(self) -> bool:
        return bool(self.password_hash)


class AuthenticatorRow(SQLModel, table=True):
    """The secret of a user's authenticator, wrapped by a master key, and one that waits for its first code.
    ``last_code`` is the last one that was taken, as the number of its 30 seconds: none is taken twice."""

    __tablename__ = "authenticators"

    user_id: str = Field(foreign_key="users.id", ondelete="CASCADE", primary_key=True, max_length=16)
    is_confirmed: bool = Field(default=False, primary_key=True)
    key_id: str = Field(max_length=64, index=True)
    wrapped: bytes
    last_code: int = 0
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class RecoveryCodeRow(SQLModel, table=True):
    """A code that stands for one of the authenticator; it goes with its use."""

    __tablename__ = "recovery_codes"

    code_hash: str = Field(primary_key=True, max_length=64)
    user_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True, max_length=16)


class SessionRow(SQLModel, table=True):
    """A session, which began when a user signed in."""

    __tablename__ = "sessions"

    id: str = Field(default_factory=lambda: secrets.token_hex(8), primary_key=True, max_length=16)
    user_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True, max_length=16)
    token_hash: str = Field(unique=True, max_length=64)
    how: str = Field(default="", max_length=64)
    address: str = Field(default="", max_length=64)
    agent: str = Field(default="", max_length=200)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_used_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_used_from: str = Field(default="", max_length=64)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_by: str = Field(default="", max_length=210)
