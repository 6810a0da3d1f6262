"""Records without CarePlans and Tasks, which no rule reads; an index that nothing asks"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "2026_12_02_lean_records"
down_revision = "2026_12_01_auth_options"
branch_labels = None
depends_on = None

_GONE = ("CarePlan/", "Task/")


def upgrade() -> None:
    op.drop_index("ix_resource_owner_patient", "resource_owner")
    connection = op.get_bind()
    for kind in _GONE:
        connection.execute(sa.text("DELETE FROM resource_owner WHERE key LIKE :kind"), {"kind": f"{kind}%"})
    record = sa.table(
        "record", sa.column("emr"), sa.column("patient_id"), sa.column("facts"), sa.column("digest")
    )
    names = connection.execute(sa.select(record.c.emr, record.c.patient_id)).all()
    for emr, patient_id in names:
        one = sa.and_(record.c.emr == emr, record.c.patient_id == patient_id)
        facts = msgspec.msgpack.decode(connection.scalar(sa.select(record.c.facts).where(one)))
        left = {key: fact for key, fact in facts.items() if not key.startswith(_GONE)}
        if len(left) < len(facts):  # without a digest it counts as changed when it is read next
            values = {"facts": msgspec.msgpack.encode(left), "digest": ""}
            connection.execute(sa.update(record).where(one).values(values))


def downgrade() -> None:
    op.create_index("ix_resource_owner_patient", "resource_owner", ["emr", "patient_id"])
