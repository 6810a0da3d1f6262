"""Whom a connection is about, where its EMR answers only about one patient at a time"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_roster"
down_revision = "2026_11_30_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No batch: on SQLite that would make `emr` anew, and dropping the old one cascades to every row below.
    op.add_column("emr", sa.Column("roster", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("emr", "roster")
