"""Reservations and drains

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "port_reservations",
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("protocol", sa.String(length=4), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner_kind", sa.String(length=20), nullable=False),
        sa.Column("owner_id", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=70), nullable=False),
        sa.PrimaryKeyConstraint("node_id", "protocol", "number"),
    )
    with op.batch_alter_table("port_reservations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_port_reservations_owner_id"), ["owner_id"], unique=False)

    op.create_table(
        "reservations",
        sa.Column("owner_kind", sa.String(length=20), nullable=False),
        sa.Column("owner_id", sa.String(length=100), nullable=False),
        sa.Column("node_id", sa.String(length=63), nullable=False),
        sa.Column("cpus", sa.Float(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("pids", sa.BigInteger(), nullable=False),
        sa.Column("gpu_vendor", sa.String(length=20), nullable=False),
        sa.Column("gpu_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner_kind", "owner_id"),
    )
    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reservations_node_id"), ["node_id"], unique=False)

    with op.batch_alter_table("nodes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("drain_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("nodes", schema=None) as batch_op:
        batch_op.drop_column("drain_until")

    with op.batch_alter_table("reservations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reservations_node_id"))

    op.drop_table("reservations")
    with op.batch_alter_table("port_reservations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_port_reservations_owner_id"))

    op.drop_table("port_reservations")
