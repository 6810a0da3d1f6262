"""How an EMR is read, and the export that it makes for us"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_11_exports"
down_revision = "2026_12_10_notifications"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("emr", sa.Column("pull", sa.String(length=255), nullable=True))
    op.create_table(
        "export_job",
        sa.Column("emr", sa.String(length=255), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["emr"], ["emr.slug"], name=op.f("fk_export_job_emr_emr"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("emr", name=op.f("pk_export_job")),
    )


def downgrade() -> None:
    op.drop_table("export_job")
    op.drop_column("emr", "pull")
