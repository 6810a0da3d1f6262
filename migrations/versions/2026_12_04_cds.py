"""CDS Hooks: who calls for an EMR, and what became of our cards"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cm_service.db.tables import UtcDateTime

revision = "2026_12_04_cds"
down_revision = "2026_12_03_cases"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("emr", sa.Column("cds_issuer", sa.Text(), nullable=True))
    op.add_column("emr", sa.Column("cds_jwks", sa.JSON(), nullable=True))
    op.add_column("emr", sa.Column("cds_jwks_url", sa.Text(), nullable=True))
    op.create_index("uq_emr_cds_issuer", "emr", ["cds_issuer"], unique=True)
    op.create_table(
        "cds_feedback",
        sa.Column("emr", sa.String(255), primary_key=True),
        sa.Column("card", sa.String(255), primary_key=True),
        sa.Column("outcome", sa.String(255), primary_key=True),
        sa.Column("service", sa.String(255), nullable=False),
        sa.Column("outcome_at", UtcDateTime(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("cds_feedback")
    op.drop_index("uq_emr_cds_issuer", "emr")
    for column in ("cds_jwks_url", "cds_jwks", "cds_issuer"):
        op.drop_column("emr", column)
