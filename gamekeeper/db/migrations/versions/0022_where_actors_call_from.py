"""The address and the id of an event's actor

Events of before have no address and no id of their actor.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("actor_id", sa.String(length=40), nullable=False, server_default=""))
    op.add_column("events", sa.Column("address", sa.String(length=64), nullable=False, server_default=""))
    op.create_index("ix_events_actor", "events", ["actor"])


def downgrade() -> None:
    op.drop_index("ix_events_actor", "events")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_column("address")
        batch_op.drop_column("actor_id")
