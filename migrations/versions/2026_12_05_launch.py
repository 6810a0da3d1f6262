"""SMART launches and page sessions; how this service is registered at an EMR for launches"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cm_service.db.tables import UtcDateTime

revision = "2026_12_05_launch"
down_revision = "2026_12_04_cds"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _word(name: str, *, nullable: bool = False, index: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(255), nullable=nullable, index=index)


def upgrade() -> None:
    op.add_column("emr", sa.Column("launch_options", sa.JSON(), nullable=False, server_default="{}"))
    op.create_table(
        "launch_state",
        sa.Column("digest", sa.String(255), primary_key=True),
        _word("emr"),
        _word("kind"),
        *map(_text, ("issuer", "token_endpoint", "jwks_uri", "scope", "verifier")),
        _word("nonce_digest"),
        _word("browser_digest"),
        sa.Column("iss_promised", sa.Boolean(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False, index=True),
        sa.Column("used_at", UtcDateTime(), nullable=True),
    )
    op.create_table(
        "page_session",
        sa.Column("digest", sa.String(255), primary_key=True),
        _word("emr", index=True),
        _word("patient_id", nullable=True),
        _word("encounter_id", nullable=True),
        _word("user"),
        *map(_text, ("user_name", "patient_name", "subject")),
        sa.Column("bound", sa.Boolean(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        _word("browser_digest", index=True),
        *map(_text, ("scope", "access_token", "refresh_token", "token_endpoint")),
        sa.Column("token_until", UtcDateTime(), nullable=False),
        sa.Column("idle_until", UtcDateTime(), nullable=False),
        sa.Column("context", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
    )


def downgrade() -> None:
    op.drop_table("page_session")
    op.drop_table("launch_state")
    op.drop_column("emr", "launch_options")
