"""Sign-ins at several practices behind one worklist page"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_15_joined"
down_revision = "2026_12_14_labels"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("launch_state", sa.Column("joins", sa.String(255), nullable=True))
    op.add_column("page_session", sa.Column("held_by", sa.String(255), nullable=True))
    op.create_index("ix_page_session_held_by", "page_session", ["held_by"])


def downgrade() -> None:
    op.drop_index("ix_page_session_held_by", "page_session")
    op.drop_column("page_session", "held_by")
    op.drop_column("launch_state", "joins")
