"""Join keys, and the joins that machines made with them."""

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now
from gamekeeper.domain.node.join import HOST_PATTERN, JoinState, KeyState, key_state


class JoinKeyRow(SQLModel, table=True):
    """A key for several machines. ``uses`` counts those that joined by it, and those that wait for an approval."""

    __tablename__ = "join_keys"

    id: str = Field(default_factory=lambda: secrets.token_hex(4), primary_key=True, max_length=16)
    key_hash: str = Field(unique=True, max_length=64)
    description: str = ""
    name_pattern: str = Field(default=HOST_PATTERN, max_length=80)
    labels: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    policy: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    capacity_override: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    approve: bool = False
    uses: int = 0
    max_uses: int = 1
    created_by: str = ""
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)

    @property
    def state(self) -> KeyState:
        return key_state(
            uses=self.uses,
            max_uses=self.max_uses,
            expires_at=self.expires_at,
            revoked_at=self.revoked_at,
            now=utc_now(),
        )


class JoinRow(SQLModel, table=True):
    """One machine, known by the key that it made for itself. ``id`` is the short form of ``fingerprint``.

    ``generation`` is the node's: of an approval that it was given, or of the join itself.
    """

    __tablename__ = "joins"

    id: str = Field(primary_key=True, max_length=32)
    key_id: str = Field(foreign_key="join_keys.id", ondelete="CASCADE", index=True, max_length=16)
    fingerprint: str = Field(max_length=64)
    node_id: str = Field(max_length=63, index=True)
    host: str = Field(default="", max_length=253)
    address: str = Field(default="", max_length=64)
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    state: str = Field(default=JoinState.WAITING.value, index=True, max_length=20)
    reason: str = Field(default="", max_length=20)
    generation: int | None = None
    decided_by: str = ""
    message: str = ""
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
