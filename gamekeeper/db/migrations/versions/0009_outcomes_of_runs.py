"""An index that holds all that the metrics of runs ask for

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = ["pipeline", "schedule", "state", "finished_at", "started_at", "created_at", "pipeline_version", "id"]


def upgrade() -> None:
    op.create_index("ix_runs_outcomes", "runs", COLUMNS)


def downgrade() -> None:
    op.drop_index("ix_runs_outcomes", "runs")
