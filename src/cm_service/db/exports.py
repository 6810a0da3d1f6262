"""The one bulk export per EMR that is under way. Its address comes and goes sealed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from cm_service.db.sync import upsert
from cm_service.db.tables import ExportJob


def of_emr(connection: sa.Connection, emr: str) -> Any | None:
    """A row of `export_job`, None if there is none."""
    statement = sa.select(ExportJob.__table__).where(ExportJob.emr == emr)
    return connection.execute(statement).one_or_none()


def save(
    connection: sa.Connection,
    emr: str,
    *,
    url: str,
    asked: str,
    since: dt.datetime | None,
    begun: dt.datetime,
) -> None:
    row = {"emr": emr, "url": url, "asked": asked, "since": since, "begun": begun}
    upsert(connection, ExportJob, [row])


def drop(connection: sa.Connection, emr: str) -> None:
    connection.execute(sa.delete(ExportJob).where(ExportJob.emr == emr))
