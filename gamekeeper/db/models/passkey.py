"""Passkeys of users, of which only the public halves are stored, and challenges that were used."""

import secrets
from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class PasskeyRow(SQLModel, table=True):
    """``sign_count`` is the highest that its authenticator has told: one that goes back is a copy's."""

    __tablename__ = "passkeys"

    id: str = Field(default_factory=lambda: secrets.token_hex(8), primary_key=True, max_length=16)
    user_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True, max_length=16)
    credential_id: str = Field(unique=True, max_length=1400)
    public_key: bytes
    sign_count: int = Field(default=0, sa_type=BigInteger)
    rp_id: str = Field(max_length=253)
    name: str = Field(max_length=100)
    is_synced: bool = False
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_from: str = Field(default="", max_length=64)


class SpentChallengeRow(SQLModel, table=True):
    """A challenge that has let somebody in, kept until it would have run out: none does so twice."""

    __tablename__ = "spent_challenges"

    challenge_hash: str = Field(primary_key=True, max_length=64)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
