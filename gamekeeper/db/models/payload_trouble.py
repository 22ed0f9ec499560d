"""Payloads of Temporal that a process could not read: told to people until they are read, or long past."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class PayloadTroubleRow(SQLModel, table=True):
    """``reader`` is the process, ``subject`` the id of a workflow."""

    __tablename__ = "payload_troubles"

    reader: str = Field(primary_key=True, max_length=40)
    subject: str = Field(primary_key=True, max_length=400)
    key_id: str = Field(primary_key=True, max_length=40)
    message: str = Field(max_length=600)
    is_missing: bool = False
    first_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
