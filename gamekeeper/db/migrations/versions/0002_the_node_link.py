"""The node link

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hlc", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("node", sa.String(length=63), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("step", sa.String(length=63), nullable=False),
        sa.Column("container", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("actor", sa.String(length=210), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("node_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("clock_offset_ms", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_events_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_events_kind"), ["kind"], unique=False)
        batch_op.create_index(batch_op.f("ix_events_node"), ["node"], unique=False)
        batch_op.create_index(batch_op.f("ix_events_run"), ["run"], unique=False)

    op.create_table(
        "metrics",
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("resolution", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "resolution", "at"),
    )
    with op.batch_alter_table("metrics", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_metrics_at"), ["at"], unique=False)

    empty = "'{}'::json" if op.get_bind().dialect.name == "postgresql" else "'{}'"
    op.execute(
        f"""
        INSERT INTO events (hlc, at, kind, node, run, step, container, reason, message, actor, data)
        SELECT 0, at, CASE WHEN step = '' THEN 'run.' ELSE 'step.' END || state, '', run_id, step, '',
               coalesce(reason, ''), message, 'system', {empty}
        FROM run_events ORDER BY id
        """
    )
    with op.batch_alter_table("run_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_run_events_run_id"))

    op.drop_table("run_events")
    with op.batch_alter_table("nodes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("inventory", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("capacity_override", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("conditions", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    with op.batch_alter_table("nodes", schema=None) as batch_op:
        batch_op.drop_column("conditions")
        batch_op.drop_column("capacity_override")
        batch_op.drop_column("inventory")

    op.create_table(
        "run_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("run_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_run_events_run_id"), ["run_id"], unique=False)

    with op.batch_alter_table("metrics", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_metrics_at"))

    op.drop_table("metrics")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_events_run"))
        batch_op.drop_index(batch_op.f("ix_events_node"))
        batch_op.drop_index(batch_op.f("ix_events_kind"))
        batch_op.drop_index(batch_op.f("ix_events_at"))

    op.drop_table("events")
