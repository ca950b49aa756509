"""${message}

A statement on a table of the application is a step of its own: a short transaction that waits 100 ms for its
lock and no longer, decided by the catalogue. See temporal_pipeline/defs/schema/steps.py.
"""

from alembic import op

from temporal_pipeline.defs.schema.upgrade import run_in_revision

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    run_in_revision(op.get_context(), ())


def downgrade() -> None:
    run_in_revision(op.get_context(), ())
