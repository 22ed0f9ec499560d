"""Secrets, their sealed versions, and those who use them. No column holds a value that can be read."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, LargeBinary
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class SecretRow(SQLModel, table=True):
    """``version`` counts changes of the row, for ETags; ``current`` is the number of the newest version of the value.
    ``id`` differs for a secret that was removed and made again, so that no sealed version of before opens."""

    __tablename__ = "secrets"

    name: str = Field(primary_key=True, max_length=63)
    id: str = Field(default_factory=lambda: secrets.token_hex(8), max_length=16)
    version: int = 1
    current: int = 0
    scope: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    description: str = Field(default="", max_length=200)
    created_by: str = Field(default="", max_length=210)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    updated_by: str = Field(default="", max_length=210)
    updated_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_by: str = Field(default="", max_length=300)


class SecretVersionRow(SQLModel, table=True):
    """``data`` is the value under its data key, ``wrapped_key`` that key under the master key ``key_id``. A version
    with a ``reference`` has neither: another store keeps the value. Of a destroyed one all of them are gone."""

    __tablename__ = "secret_versions"

    secret_name: str = Field(foreign_key="secrets.name", ondelete="CASCADE", primary_key=True, max_length=63)
    number: int = Field(primary_key=True)
    key_id: str = Field(default="", index=True, max_length=200)
    wrapped_key: bytes = Field(default=b"", sa_type=LargeBinary)
    data: bytes = Field(default=b"", sa_type=LargeBinary)
    reference: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    created_by: str = Field(default="", max_length=210)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    destroyed_by: str = Field(default="", max_length=210)
    destroyed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SecretUseRow(SQLModel, table=True):
    """A run, or a revision of an instance, that names a secret. It tells of a use while the run has not ended, or the
    revision is the instance's current one. A run has revision 0."""

    __tablename__ = "secret_uses"

    secret_name: str = Field(primary_key=True, max_length=63)
    kind: str = Field(primary_key=True, max_length=16)
    owner: str = Field(primary_key=True, max_length=63)
    revision: int = Field(default=0, primary_key=True)
