"""Notifications of EMRs: what they hint at, and how each subscription stands"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cm_service.db.tables import UtcDateTime

revision = "2026_12_10_notifications"
down_revision = "2026_12_09_approvals"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("emr", sa.Column("notify_options", sa.JSON(), nullable=False, server_default="{}"))
    op.create_table(
        "hint",
        sa.Column("emr", sa.String(255), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("renewed_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False, index=True),
        sa.Column("tries", sa.Integer(), nullable=False),
    )
    op.create_table(
        "subscription_state",
        sa.Column("emr", sa.String(255), primary_key=True),
        sa.Column("subscription", sa.String(255), primary_key=True),
        sa.Column("status", sa.String(255), nullable=False),
        sa.Column("highest", sa.Integer(), nullable=False),
        sa.Column("missing", sa.JSON(), nullable=False),
        sa.Column("recent", sa.JSON(), nullable=False),
        sa.Column("heard_at", UtcDateTime(), nullable=False),
        sa.Column("gaps", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("subscription_state")
    op.drop_table("hint")
    op.drop_column("emr", "notify_options")
