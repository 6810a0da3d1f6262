"""From when on the next search of each type, query and patient asks, and as of when what is held is"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_08_cursors"
down_revision = "2026_12_07_webhooks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sync_cursor",
        sa.Column("emr", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("query", sa.String(length=255), nullable=False),
        sa.Column("patient_id", sa.String(length=255), nullable=False),
        sa.Column("value", sa.DateTime(timezone=True), nullable=True),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("whole_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["emr"], ["emr.slug"], name=op.f("fk_sync_cursor_emr_emr"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("emr", "type", "query", "patient_id", name=op.f("pk_sync_cursor")),
    )


def downgrade() -> None:
    op.drop_table("sync_cursor")
