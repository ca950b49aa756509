"""Five new tables for periods, snapshots, events, evidence and effectiveness."""

from alembic import op

from temporal_pipeline.defs.schema.definition import revisions
from temporal_pipeline.defs.schema.upgrade import run_in_revision

revision = "20260301_0100"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_in_revision(op.get_context(), revisions.create_tables())


def downgrade() -> None:
    run_in_revision(op.get_context(), revisions.drop_tables())
