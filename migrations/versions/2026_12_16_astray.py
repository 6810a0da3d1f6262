"""What was sent before the last time and was never seen to arrive"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_16_astray"
down_revision = "2026_12_15_joined"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("placement", sa.Column("astray", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("placement", "astray")
