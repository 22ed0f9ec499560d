"""Keys and tokens: only the SHA-256 of each secret is stored, the secret itself is shown once."""

import secrets
from datetime import datetime

from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now
from gamekeeper.domain.access.api_key import ApiKeyState, api_key_state
from gamekeeper.domain.access.role import Role


class ApiKeyRow(SQLModel, table=True):
    """``is_given`` is true of a key that a start of the api was given: its row is never forgotten, or the next start
    would make a revoked one good again. A key of a user acts as that user, and its role is the most that it may."""

    __tablename__ = "api_keys"

    id: str = Field(default_factory=lambda: secrets.token_hex(4), primary_key=True, max_length=16)
    name: str = Field(max_length=200, index=True)
    is_given: bool = False
    role: str = Field(default=Role.ADMIN, max_length=16)
    user_id: str | None = Field(
        default=None, foreign_key="users.id", ondelete="CASCADE", index=True, max_length=16, nullable=True
    )
    created_by: str = Field(default="", max_length=200)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_from: str = Field(default="", max_length=64)

    @property
    def state(self) -> ApiKeyState:
        return api_key_state(expires_at=self.expires_at, revoked_at=self.revoked_at, now=utc_now())


class ApiKeySecretRow(SQLModel, table=True):
    """One secret of a key. A rotation adds one, and gives the earlier ones an end."""

    __tablename__ = "api_key_secrets"

    key_hash: str = Field(primary_key=True, max_length=64)
    key_id: str = Field(foreign_key="api_keys.id", ondelete="CASCADE", index=True, max_length=16)
    good_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class EnrolmentTokenRow(SQLModel, table=True):
    """A token for one registration of one node, until it expires."""

    __tablename__ = "enrolment_tokens"

    token_hash: str = Field(primary_key=True, max_length=64)
    node_id: str = Field(foreign_key="nodes.id", ondelete="CASCADE", index=True)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
