"""What a person said was really deleted"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_09_approvals"
down_revision = "2026_12_08_cursors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deletion_approval",
        sa.Column("emr", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["emr"], ["emr.slug"], name=op.f("fk_deletion_approval_emr_emr"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("emr", "type", name=op.f("pk_deletion_approval")),
    )


def downgrade() -> None:
    op.drop_table("deletion_approval")
