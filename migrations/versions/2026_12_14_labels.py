"""Confidentiality labels of decisions, intents and the worklist: everybody is judged anew for them"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from cm_service.db.tables import UtcDateTime

revision = "2026_12_14_labels"
down_revision = "2026_12_13_absences"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("decision") as batch:
        batch.add_column(sa.Column("labels", sa.String(255), nullable=False, server_default=""))
        batch.add_column(sa.Column("others_outcome", sa.String(255), nullable=True))
        batch.add_column(sa.Column("others_line", sa.LargeBinary(), nullable=True))
    with op.batch_alter_table("intent") as batch:
        batch.add_column(sa.Column("labels", sa.String(255), nullable=False, server_default=""))
    _worklist(
        sa.Column("part", sa.Integer(), nullable=False), sa.Column("labels", sa.String(255), nullable=False)
    )
    op.execute(sa.text("UPDATE record SET due = true"))


def downgrade() -> None:
    _worklist()
    with op.batch_alter_table("intent") as batch:
        batch.drop_column("labels")
    with op.batch_alter_table("decision") as batch:
        for name in ("others_line", "others_outcome", "labels"):
            batch.drop_column(name)


def _worklist(*more: sa.Column[Any]) -> None:
    """Anew, and empty until the next night: what is in it may be under labels that nobody had looked at."""
    op.drop_table("worklist")
    keys = [sa.Column(name, sa.String(255), nullable=False) for name in ("emr", "patient_id")]
    words = [sa.Column(name, sa.String(255), nullable=False) for name in ("name", "birth_date", "status")]
    op.create_table(
        "worklist",
        *keys,
        *more,
        *words,
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("tasks", sa.JSON(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("cannot_tell", sa.JSON(), nullable=False),
        sa.Column("care_manager", sa.String(255), nullable=False),
        sa.Column("snoozed_until", sa.Date(), nullable=True),
        sa.Column("appointment_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["emr"], ["emr.slug"], ondelete="CASCADE", name="fk_worklist_emr_emr"),
        sa.PrimaryKeyConstraint(
            "emr", "patient_id", *(c.name for c in more if c.name == "part"), name="pk_worklist"
        ),
    )
    op.create_index("ix_worklist_order", "worklist", ["emr", "urgency", "due_at", "patient_id"])
    op.create_index("ix_worklist_manager", "worklist", ["emr", "care_manager", "due_at"])
    op.create_index("ix_worklist_appointment", "worklist", ["emr", "appointment_at"])
