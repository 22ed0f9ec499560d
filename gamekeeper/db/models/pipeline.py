"""Stored pipelines: numbered versions that never change. A deleted one keeps its rows: no number comes twice."""

from datetime import datetime

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class PipelineRow(SQLModel, table=True):
    """``is_bounded`` is true of a version whose author could not reach everything: it runs within the bounds of whoever
    runs it, and one of an author without bounds where that meant it to run."""

    __tablename__ = "pipelines"

    name: str = Field(primary_key=True, max_length=63)
    version: int = Field(primary_key=True)
    source: str
    description: str = ""
    labels: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    is_bounded: bool = False
    created_by: str = Field(default="", max_length=210)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
