"""Samples of nodes and containers at three resolutions; the values are packed floats in the order of the names."""

from sqlalchemy import BigInteger, LargeBinary
from sqlmodel import Field, SQLModel


class MetricRow(SQLModel, table=True):
    """``subject`` is ``node:<id>`` or ``step:<run>/<step>/<try>``.

    ``resolution`` is in seconds, 0 for raw; ``at`` in Unix seconds.
    """

    __tablename__ = "metrics"

    subject: str = Field(primary_key=True, max_length=160)
    resolution: int = Field(primary_key=True)
    at: int = Field(primary_key=True, index=True, sa_type=BigInteger)
    data: bytes = Field(sa_type=LargeBinary)
