"""Facts about the server itself that the api finds out, for those who judge alarms in another process."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class ServerFactRow(SQLModel, table=True):
    """``name`` is that of a signal."""

    __tablename__ = "server_facts"

    name: str = Field(primary_key=True, max_length=63)
    value: str = Field(default="", max_length=63)
    words: str = Field(default="", max_length=500)
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
