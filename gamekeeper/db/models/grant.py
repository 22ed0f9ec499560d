"""Grants of users and keys. No foreign key: they are of two kinds, and go with whoever held them."""

import secrets
from datetime import datetime

from sqlalchemy import JSON, Index
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now
from gamekeeper.domain.access.grant import Grant
from gamekeeper.domain.access.role import verbs_of
from gamekeeper.domain.access.selector import ALL, Selector
from gamekeeper.domain.access.verb import ObjectKind, Verb


class GrantRow(SQLModel, table=True):
    """``role`` or ``verbs`` is what is given; ``kind`` to ``is_own`` are the selector. What a newer version wrote, and
    this one does not know, gives nothing."""

    __tablename__ = "grants"
    __table_args__ = (Index("ix_grants_holder", "holder_kind", "holder_id"),)

    id: str = Field(default_factory=lambda: secrets.token_hex(6), primary_key=True, max_length=16)
    holder_kind: str = Field(max_length=16)
    holder_id: str = Field(max_length=63)
    role: str = Field(default="", max_length=16)
    verbs: list[str] = Field(default_factory=list, sa_type=JSON)
    kind: str = Field(default=ALL, max_length=16)
    ids: list[str] = Field(default_factory=list, sa_type=JSON)
    labels: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    is_own: bool = False
    created_by: str = Field(default="", max_length=210)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, index=True, sa_type=UtcDateTime)

    def grant(self) -> Grant:
        """Raises ValueError for a row that this version can't read."""
        kind = None if self.kind == ALL else ObjectKind(self.kind)
        selector = Selector(kind, tuple(self.ids), tuple(sorted(self.labels.items())), self.is_own)
        known = frozenset(Verb(verb) for verb in self.verbs if verb in Verb.__members__.values())
        return Grant(verbs_of(self.role) if self.role else known, selector, self.expires_at, self.role, self.id)
