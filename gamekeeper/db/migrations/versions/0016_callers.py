"""Callers of runs and revisions

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLES = ("runs", "instance_revisions")


def upgrade() -> None:
    """A person's revision is his own; of runs that began before this nobody is known."""
    for table in TABLES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("caller", sa.String(length=210), nullable=False, server_default=""))
    op.execute("UPDATE instance_revisions SET caller = created_by WHERE run_id = ''")


def downgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("caller")
