"""Who is on the roster of an EMR no more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from cm_service.db.sync import chunks, upsert
from cm_service.db.tables import Absence


class Away(NamedTuple):
    """`since` is the night whose roster first lacked the patient; `again`: a later one did, too."""

    since: dt.datetime
    again: bool


def of_emr(connection: sa.Connection, emr: str) -> dict[str, Away]:
    columns = sa.select(Absence.patient_id, Absence.since, Absence.again).where(Absence.emr == emr)
    return {row.patient_id: Away(row.since, row.again) for row in connection.execute(columns)}


def save(connection: sa.Connection, emr: str, away: Mapping[str, Away]) -> None:
    upsert(
        connection, Absence, [{"emr": emr, "patient_id": who, **each._asdict()} for who, each in away.items()]
    )


def back(connection: sa.Connection, emr: str, patient_ids: Iterable[str]) -> None:
    for part in chunks(patient_ids):
        connection.execute(sa.delete(Absence).where(Absence.emr == emr, Absence.patient_id.in_(part)))
