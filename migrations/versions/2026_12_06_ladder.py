"""Why an intent is on no higher rung, what refused it, what is still to be closed, and who accepted it"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_06_ladder"
down_revision = "2026_12_05_launch"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No batch: on SQLite that would make the tables anew, where adding columns is enough.
    op.add_column("placement", sa.Column("degraded", sa.Text(), nullable=True))
    op.add_column("placement", sa.Column("refused_status", sa.Integer(), nullable=True))
    op.add_column("placement", sa.Column("closing", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("intent", sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("intent", sa.Column("accepted_by", sa.String(length=255), nullable=True))


def downgrade() -> None:
    op.drop_column("intent", "accepted_by")
    op.drop_column("intent", "accepted_at")
    op.drop_column("placement", "closing")
    op.drop_column("placement", "refused_status")
    op.drop_column("placement", "degraded")
