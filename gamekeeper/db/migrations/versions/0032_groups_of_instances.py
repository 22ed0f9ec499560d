"""Groups of instances that joined them by an update

Until now an instance's row knew only the group that the instance was made with.

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_INSTANCES = sa.table(
    "instances",
    sa.column("id", sa.String),
    sa.column("revision", sa.Integer),
    sa.column("group", sa.String),
    sa.column("deleted_at", sa.DateTime(timezone=True)),
)
_REVISIONS = sa.table(
    "instance_revisions",
    sa.column("instance_id", sa.String),
    sa.column("revision", sa.Integer),
    sa.column("spec", sa.JSON),
)


def upgrade() -> None:
    made, revised = _INSTANCES.c, _REVISIONS.c
    current = sa.and_(revised.instance_id == made.id, revised.revision == made.revision)
    query = sa.select(made.id, made.group, revised.spec).join(_REVISIONS, current).where(made.deleted_at.is_(None))
    connection = op.get_bind()
    for instance_id, before, spec in connection.execute(query).all():
        group = (spec or {}).get("group") or ""
        if group != before:
            connection.execute(sa.update(_INSTANCES).where(made.id == instance_id).values(group=group))


def downgrade() -> None:
    """The rows stay as they are: their groups are as true for the version before."""
