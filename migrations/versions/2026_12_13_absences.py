"""Who is on the roster of an EMR no more"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cm_service.db.tables import UtcDateTime

revision = "2026_12_13_absences"
down_revision = "2026_12_12_restored"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "absence",
        sa.Column("emr", sa.String(255), nullable=False),
        sa.Column("patient_id", sa.String(255), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["emr"], ["emr.slug"], ondelete="CASCADE", name="fk_absence_emr_emr"),
        sa.PrimaryKeyConstraint("emr", "patient_id", name="pk_absence"),
    )


def downgrade() -> None:
    op.drop_table("absence")
