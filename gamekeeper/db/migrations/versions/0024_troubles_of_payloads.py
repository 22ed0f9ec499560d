"""Troubles of payloads

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payload_troubles",
        sa.Column("reader", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=400), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("message", sa.String(length=600), nullable=False),
        sa.Column("is_missing", sa.Boolean(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("reader", "subject", "key_id"),
    )
    with op.batch_alter_table("payload_troubles", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payload_troubles_last_at"), ["last_at"], unique=False)


def downgrade() -> None:
    op.drop_table("payload_troubles")
