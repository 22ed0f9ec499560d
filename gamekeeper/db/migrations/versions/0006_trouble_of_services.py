"""Restarts of containers, removals that failed, and the trouble of services after they came up

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("containers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("restart_count", sa.Integer(), nullable=False, server_default=sa.text("0")))
        batch_op.add_column(sa.Column("problem", sa.String(), nullable=False, server_default=sa.text("''")))
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.add_column(sa.Column("trouble", sa.String(), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.drop_column("trouble")
    with op.batch_alter_table("containers", schema=None) as batch_op:
        batch_op.drop_column("problem")
        batch_op.drop_column("restart_count")
