"""Grants, and what they look at: the owners of instances and runs, the labels of pipelines

What was there before belongs to nobody: of a name that made it nobody knows any more who had it then. A pipeline has
its labels when it is stored the next time. Keys of before have no grants, and can do what their roles say.

Revision ID: 0026
Revises: 0025
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("holder_kind", sa.String(length=16), nullable=False),
        sa.Column("holder_id", sa.String(length=63), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("verbs", sa.JSON(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ids", sa.JSON(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("is_own", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(length=210), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("grants", schema=None) as batch_op:
        batch_op.create_index("ix_grants_holder", ["holder_kind", "holder_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_grants_expires_at"), ["expires_at"], unique=False)
    _add("instances", sa.Column("owner", sa.String(length=80), nullable=False, server_default=""))
    _add("runs", sa.Column("owner", sa.String(length=80), nullable=False, server_default=""))
    _add("pipelines", sa.Column("labels", sa.JSON(), nullable=False, server_default="{}"))
    _add("pipelines", sa.Column("is_bounded", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instances_owner"), ["owner"], unique=False)


def _add(table: str, column: sa.Column[Any]) -> None:
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.add_column(column)
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.alter_column(column.name, server_default=None)


def downgrade() -> None:
    """A key that had grants alone has a role that the version before does not know, and can do nothing there."""
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_instances_owner"))
    for table, column in (
        ("pipelines", "is_bounded"),
        ("pipelines", "labels"),
        ("runs", "owner"),
        ("instances", "owner"),
    ):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column(column)
    op.drop_table("grants")
