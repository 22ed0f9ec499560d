"""Roles of keys

All keys of before may do everything, as they could. To go back ends the keys that may not: the version before would
let them do everything.

Revision ID: 0019
Revises: 0018
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_KEYS = sa.table(
    "api_keys",
    sa.column("role", sa.String),
    sa.column("revoked_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("role", sa.String(length=16), nullable=False, server_default="admin"))
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.alter_column("role", server_default=None)


def downgrade() -> None:
    bounded = sa.update(_KEYS).where(_KEYS.c.role != "admin", _KEYS.c.revoked_at.is_(None))
    op.execute(bounded.values(revoked_at=datetime.now(UTC)))
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_column("role")
