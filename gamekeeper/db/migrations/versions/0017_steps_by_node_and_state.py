"""Steps by node and state

A node's steps of years are many; those that run or wait there, for which each write of a run asks, are few.

Revision ID: 0017
Revises: 0016
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.create_index("ix_steps_node_state", ["node_id", "state"], unique=False)
        batch_op.drop_index("ix_steps_node_id")


def downgrade() -> None:
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.create_index("ix_steps_node_id", ["node_id"], unique=False)
        batch_op.drop_index("ix_steps_node_state")
