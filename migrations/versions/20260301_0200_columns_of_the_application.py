"""Columns on the application's tables that point to periods."""

from alembic import op

from temporal_pipeline.defs.schema.definition import revisions
from temporal_pipeline.defs.schema.upgrade import run_in_revision

revision = "20260301_0200"
down_revision = "20260301_0100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_in_revision(op.get_context(), revisions.add_columns())


def downgrade() -> None:
    run_in_revision(op.get_context(), revisions.remove_columns())
