"""How an EMR connection asks for tokens: client id, token endpoint, references to key or secret"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_01_auth_options"
down_revision = "2026_11_30_roster"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("emr", sa.Column("auth_options", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("emr", "auth_options")
