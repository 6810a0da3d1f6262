"""Cases: enrolments, consents, contacts, snoozes, acts, and intents that wait until they cannot be undone"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cm_service.db.tables import UtcDateTime

revision = "2026_12_03_cases"
down_revision = "2026_12_02_lean_records"
branch_labels = None
depends_on = None

_OPEN = sa.text("status <> 'closed'")


def _emr(**options: bool) -> sa.Column[str]:
    return sa.Column(
        "emr", sa.String(255), sa.ForeignKey("emr.slug", ondelete="CASCADE"), nullable=False, **options
    )


def upgrade() -> None:
    op.add_column("intent", sa.Column("held_until", UtcDateTime(), nullable=True))
    op.create_table(
        "enrolment",
        sa.Column("id", sa.Integer(), primary_key=True),
        _emr(),
        sa.Column("patient_id", sa.String(255), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(255), nullable=False),
        sa.Column("care_manager", sa.String(255), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("active_since", UtcDateTime(), nullable=True),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("closure", sa.String(255), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.UniqueConstraint("emr", "patient_id", "number"),
    )
    op.create_index(
        "uq_enrolment_open",
        "enrolment",
        ["emr", "patient_id"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column(
            "enrolment_id",
            sa.Integer(),
            sa.ForeignKey("enrolment.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("decision", sa.String(255), nullable=False),
        sa.Column("form", sa.String(255), nullable=False),
        sa.Column("given_by", sa.String(255), nullable=False),
        sa.Column("text_version", sa.String(255), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("recorded_by", sa.String(255), nullable=False),
    )
    op.create_table(
        "contact",
        sa.Column("id", sa.Integer(), primary_key=True),
        _emr(),
        sa.Column("patient_id", sa.String(255), nullable=False),
        sa.Column("enrolment_id", sa.Integer(), sa.ForeignKey("enrolment.id"), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("medium", sa.String(255), nullable=False),
        sa.Column("service", sa.String(255), nullable=False),
        sa.Column("reached", sa.Boolean(), nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("checklist", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("next_contact", sa.Date(), nullable=True),
        sa.Column("recorded_by", sa.String(255), nullable=False),
        sa.Column("undone", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_contact_patient", "contact", ["emr", "patient_id", "at"])
    op.create_table(
        "snooze",
        _emr(primary_key=True),
        sa.Column("patient_id", sa.String(255), primary_key=True),
        sa.Column("until", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
    )
    op.create_table(
        "act",
        sa.Column("id", sa.Integer(), primary_key=True),
        _emr(),
        sa.Column("patient_id", sa.String(255), nullable=False),
        sa.Column("enrolment_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(255), nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("undo_until", UtcDateTime(), nullable=True),
        sa.Column("undone_at", UtcDateTime(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=False),
    )
    op.create_index("ix_act_patient", "act", ["emr", "patient_id", "at"])
    op.create_table(
        "worklist",
        _emr(primary_key=True),
        sa.Column("patient_id", sa.String(255), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("birth_date", sa.String(255), nullable=False),
        sa.Column("status", sa.String(255), nullable=False),
        sa.Column("urgency", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("tasks", sa.JSON(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("cannot_tell", sa.JSON(), nullable=False),
        sa.Column("care_manager", sa.String(255), nullable=False),
        sa.Column("snoozed_until", sa.Date(), nullable=True),
        sa.Column("appointment_at", UtcDateTime(), nullable=True),
    )
    op.create_index("ix_worklist_order", "worklist", ["emr", "urgency", "due_at", "patient_id"])
    op.create_index("ix_worklist_manager", "worklist", ["emr", "care_manager", "due_at"])
    op.create_index("ix_worklist_appointment", "worklist", ["emr", "appointment_at"])
    # Whoever was judged before gets a row, too.
    op.execute("UPDATE record SET evaluated_by = ''")


def downgrade() -> None:
    for table in ("worklist", "act", "snooze", "contact", "consent", "enrolment"):
        op.drop_table(table)
    op.drop_column("intent", "held_until")
