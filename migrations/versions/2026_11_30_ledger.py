"""When a request left and when a search first missed it; what stops the writing to an EMR"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_ledger"
down_revision = "2026_11_29_doors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No batch: on SQLite that would make the tables anew, where adding columns is enough.
    op.add_column("placement", sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("placement", sa.Column("missed_at", sa.DateTime(timezone=True), nullable=True))
    # What was sent before nobody noted when: the last touch of the row is no earlier than that.
    op.execute("UPDATE placement SET sent_at = updated_at WHERE sent IS NOT NULL")
    op.create_index("ix_placement_intent", "placement", ["intent_id"])
    op.add_column("emr", sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("emr", sa.Column("max_writes", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("emr", "max_writes")
    op.drop_column("emr", "paused_at")
    op.drop_index("ix_placement_intent", table_name="placement")
    op.drop_column("placement", "missed_at")
    op.drop_column("placement", "sent_at")
