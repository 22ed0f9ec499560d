"""Runs that other runs and schedules start, and concurrency groups

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXED = ("parent_run", "schedule", "concurrency_group")


def upgrade() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parent_run", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("parent_step", sa.String(length=70), nullable=True))
        batch_op.add_column(sa.Column("started_by", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("schedule", sa.String(length=80), nullable=True))
        batch_op.add_column(sa.Column("callers", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
        batch_op.add_column(sa.Column("concurrency_group", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("holds_slot", sa.Boolean(), nullable=False, server_default=sa.false()))
        for name in INDEXED:
            batch_op.create_index(batch_op.f(f"ix_runs_{name}"), [name], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        for name in INDEXED:
            batch_op.drop_index(batch_op.f(f"ix_runs_{name}"))
        for name in ("holds_slot", "callers", "started_by", "parent_step", *INDEXED):
            batch_op.drop_column(name)
