"""Alembic's entry point: called by ``gamekeeper.db.migrate`` with an open connection."""

from typing import Any, Literal

from alembic import context
from sqlmodel import AutoString, SQLModel

import gamekeeper.db.models  # noqa: F401  (fills the metadata)
from gamekeeper.db.models.columns import UtcDateTime


def render_item(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """Plain SQLAlchemy types, so that an old migration does not change with our own classes."""
    if kind == "type" and isinstance(item, AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
