"""Steps keep who may answer an approval, as the run was accepted

The approvals of before name nobody: the language refused it, so all with the verb may answer them.

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.add_column(sa.Column("approvers", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.alter_column("approvers", server_default=None)


def downgrade() -> None:
    """Approvals that wait can be answered by all who may approve: the version before does not look at names."""
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.drop_column("approvers")
