"""A rejected line's file is as long as a path may be"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_28_reject_file"
down_revision = "2026_11_27_sent"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A batch is safe here: on SQLite it makes the table anew, and nothing refers to this one.
    with op.batch_alter_table("reject", schema=None) as batch_op:
        batch_op.alter_column("file", existing_type=sa.String(length=255), type_=sa.Text())


def downgrade() -> None:
    with op.batch_alter_table("reject", schema=None) as batch_op:
        batch_op.alter_column("file", existing_type=sa.Text(), type_=sa.String(length=255))
