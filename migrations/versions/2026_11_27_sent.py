"""What was last sent, so that an answer that was lost can be told from a person's change"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_sent"
down_revision = "2026_11_26_passport"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No batch: on SQLite that would make the table anew, where adding a column is enough.
    op.add_column("placement", sa.Column("sent", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("placement", "sent")
