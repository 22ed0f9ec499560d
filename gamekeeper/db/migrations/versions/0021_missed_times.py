"""The address and the id of an event's actor

The times that came before were not remembered, so of those schedules the missed times are named from the newest
firing on.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_SCHEDULES = sa.table(
    "instance_schedules",
    sa.column("told_until", sa.DateTime(timezone=True)),
    sa.column("last_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    with op.batch_alter_table("instance_schedules", schema=None) as batch_op:
        batch_op.add_column(sa.Column("told_until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("came", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
    with op.batch_alter_table("instance_schedules", schema=None) as batch_op:
        batch_op.alter_column("came", server_default=None)
    op.execute(sa.update(_SCHEDULES).values(told_until=_SCHEDULES.c.last_at))


def downgrade() -> None:
    with op.batch_alter_table("instance_schedules", schema=None) as batch_op:
        batch_op.drop_column("came")
        batch_op.drop_column("told_until")
