"""The capability passport, and the vendor profile of a connection"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_passport"
down_revision = "2026_11_25_first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No batch: on SQLite that would make `emr` anew, and dropping the old one cascades to every row below.
    op.add_column("emr", sa.Column("profile", sa.String(length=255), nullable=True))
    op.add_column("emr", sa.Column("test_patient", sa.String(length=255), nullable=True))
    op.create_table(
        "passport_verb",
        sa.Column("emr", sa.String(length=255), nullable=False),
        sa.Column("resource", sa.String(length=255), nullable=False),
        sa.Column("verb", sa.String(length=255), nullable=False),
        sa.Column("declared", sa.String(length=255), nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("granted", sa.String(length=255), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("allowed", sa.String(length=255), nullable=False),
        sa.Column("allowed_on", sa.String(length=255), nullable=True),
        sa.Column("allowed_note", sa.Text(), nullable=False),
        sa.Column("worked_status", sa.Integer(), nullable=True),
        sa.Column("worked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_status", sa.Integer(), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["emr"], ["emr.slug"], name=op.f("fk_passport_verb_emr_emr"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("emr", "resource", "verb", name=op.f("pk_passport_verb")),
    )
    op.create_table(
        "passport_fact",
        sa.Column("emr", sa.String(length=255), nullable=False),
        sa.Column("resource", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["emr"], ["emr.slug"], name=op.f("fk_passport_fact_emr_emr"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("emr", "resource", "name", name=op.f("pk_passport_fact")),
    )
    op.create_table(
        "passport_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("emr", sa.String(length=255), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["emr"], ["emr.slug"], name=op.f("fk_passport_change_emr_emr"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passport_change")),
    )
    with op.batch_alter_table("passport_change", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_passport_change_emr"), ["emr"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("passport_change", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_passport_change_emr"))
    for table in ("passport_change", "passport_fact", "passport_verb"):
        op.drop_table(table)
    op.drop_column("emr", "test_patient")
    op.drop_column("emr", "profile")
