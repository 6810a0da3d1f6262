"""When a backup was put back: what was sent after it is in no ledger"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cm_service.db.tables import UtcDateTime

revision = "2026_12_12_restored"
down_revision = "2026_12_11_exports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("emr", sa.Column("restored_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("emr", "restored_at")
