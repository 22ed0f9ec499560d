"""Room of nodes that is promised: one row for each owner, and one for each of its ports.

No foreign key to the node, as of instances: an owner whose node was removed still runs on that machine, and its room
is given back when the owner goes.
"""

from datetime import datetime

from sqlalchemy import JSON, BigInteger
from sqlmodel import Field, SQLModel

from gamekeeper.db.models.columns import UtcDateTime, utc_now


class ReservationRow(SQLModel, table=True):
    """``run_id`` is that of a step's try; an instance has none. ``gpus`` are ids, where they are
    known."""

    __tablename__ = "reservations"

    owner_kind: str = Field(primary_key=True, max_length=20)
    owner_id: str = Field(primary_key=True, max_length=100)
    node_id: str = Field(index=True, max_length=63)
    run_id: str = Field(default="", index=True, max_length=32)
    cpus: float = 0.0
    memory_bytes: int = Field(default=0, sa_type=BigInteger)
    pids: int = Field(default=0, sa_type=BigInteger)
    gpu_vendor: str = Field(default="", max_length=20)
    gpu_count: int = 0
    gpus: list[str] = Field(default_factory=list, sa_type=JSON)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class PortReservationRow(SQLModel, table=True):
    """The primary key is the promise: one holder for each number of a node and protocol. ``key`` is the port's own."""

    __tablename__ = "port_reservations"

    node_id: str = Field(primary_key=True, max_length=63)
    protocol: str = Field(primary_key=True, max_length=4)
    number: int = Field(primary_key=True)
    owner_kind: str = Field(max_length=20)
    owner_id: str = Field(index=True, max_length=100)
    key: str = Field(max_length=70)
