"""Keys and tokens: only the SHA-256 of each is stored, the secret itself is shown once."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class ApiKeyRow(SQLModel, table=True):
    __tablename__ = "api_keys"

    key_hash: str = Field(primary_key=True, max_length=64)
    name: str = Field(max_length=200)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class EnrolmentTokenRow(SQLModel, table=True):
    """A token for one registration of one node, until it expires."""

    __tablename__ = "enrolment_tokens"

    token_hash: str = Field(primary_key=True, max_length=64)
    node_id: str = Field(foreign_key="nodes.id", ondelete="CASCADE", index=True)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
