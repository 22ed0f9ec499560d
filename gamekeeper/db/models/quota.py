"""Quotas of users and keys. No foreign key: they are of two kinds, and go with whoever has them."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now
from gamekeeper.domain.instance.quota import NAMES, Quota


class QuotaRow(SQLModel, table=True):
    """``owner`` is a user or a key by its id, as instances name theirs. What is None has no limit."""

    __tablename__ = "quotas"

    owner: str = Field(primary_key=True, max_length=80)
    instances: int | None = None
    cpus: float | None = None
    memory_bytes: int | None = Field(default=None, sa_type=BigInteger)
    ports: int | None = None
    changed_by: str = Field(default="", max_length=210)
    changed_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)

    def quota(self) -> Quota:
        return Quota(**{name: getattr(self, name) for name in NAMES})
