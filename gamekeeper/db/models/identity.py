"""Identities of users at an OpenID provider, and sign-ins there that are under way. Of secrets there are hashes."""

import secrets
from datetime import datetime

from sqlmodel import Field, SQLModel, UniqueConstraint

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class IdentityRow(SQLModel, table=True):
    """A user as a provider knows it: issuer and subject are what it is known by. ``name`` is what the provider called
    it at the last sign-in, for people to read."""

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("issuer", "subject", name="uq_identities_subject"),)

    id: str = Field(default_factory=lambda: secrets.token_hex(8), primary_key=True, max_length=16)
    user_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True, max_length=16)
    issuer: str = Field(max_length=255)
    subject: str = Field(max_length=255)
    name: str = Field(default="", max_length=256)
    created_by: str = Field(default="", max_length=210)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_sign_in_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class OidcAttemptRow(SQLModel, table=True):
    """A sign-in that a browser began. ``session_before`` is the session that the new one takes the place of. A program
    on that machine waits for it where ``port`` is not 0, and proves itself by the challenge."""

    __tablename__ = "oidc_attempts"

    state_hash: str = Field(primary_key=True, max_length=64)
    browser_hash: str = Field(max_length=64)
    return_to: str = Field(default="/", max_length=512)
    session_before: str = Field(default="", max_length=16)
    port: int = 0
    challenge: str = Field(default="", max_length=64)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)


class OidcCodeRow(SQLModel, table=True):
    """A code by which a program fetches its session, once."""

    __tablename__ = "oidc_codes"

    code_hash: str = Field(primary_key=True, max_length=64)
    challenge: str = Field(max_length=64)
    user_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True, max_length=16)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
