"""Three views, one materialized view and four functions for temporal queries."""

from alembic import op

from temporal_pipeline.defs.schema.definition import revisions
from temporal_pipeline.defs.schema.upgrade import run_in_revision

revision = "20260301_0300"
down_revision = "20260301_0200"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_in_revision(op.get_context(), revisions.create_views())


def downgrade() -> None:
    run_in_revision(op.get_context(), revisions.drop_views())
