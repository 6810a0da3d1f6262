"""Alembic's entry: runs on the connection that the caller gives (db/engine.py)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from cm_service.db.every_table import Base

connection: sa.Connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    # A migration must not queue behind a long read while everybody else queues behind it.
    connection.execute(sa.text("SET lock_timeout = '5s'"))
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=False,
)
with context.begin_transaction():
    context.run_migrations()
