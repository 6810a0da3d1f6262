"""What is known of an EMR's abilities, row by row. What a row means is for `flow.passport` to say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from cm_service.db.ledger import NATIVE
from cm_service.db.sync import Rows, upsert
from cm_service.db.tables import Intent, PassportChange, PassportFact, PassportVerb, Placement

UNKNOWN = "unknown"
# Built once, since building one takes longer than running it.
_VERB = (
    sa.select(PassportVerb.__table__)
    .where(
        PassportVerb.emr == sa.bindparam("of_emr"),
        PassportVerb.resource == sa.bindparam("of_resource"),
        PassportVerb.verb == sa.bindparam("named"),
    )
    .with_for_update()
)
_FACT = sa.select(PassportFact.__table__).where(
    PassportFact.emr == sa.bindparam("of_emr"),
    PassportFact.resource == sa.bindparam("of_resource"),
    PassportFact.name == sa.bindparam("named"),
)


def verbs(connection: sa.Connection, emr: str, *, lock: bool = False) -> list[Any]:
    """Rows of `passport_verb`, by resource and verb; `lock` them where they are about to be replaced."""
    order = (PassportVerb.resource, PassportVerb.verb)
    statement = sa.select(PassportVerb.__table__).where(PassportVerb.emr == emr).order_by(*order)
    return list(connection.execute(statement.with_for_update() if lock else statement))


def verb(connection: sa.Connection, emr: str, resource: str, name: str) -> dict[str, Any]:
    """The columns of one pair, locked; blank where nothing is known of it."""
    values = {"of_emr": emr, "of_resource": resource, "named": name}
    row = connection.execute(_VERB, values).one_or_none()
    return dict(row._mapping) if row is not None else blank(emr, resource, name)


def blank(emr: str, resource: str, name: str) -> dict[str, Any]:
    """The columns of a pair of which nothing is known."""
    papers = {"declared": UNKNOWN, "granted": UNKNOWN, "allowed": UNKNOWN, "allowed_note": "", "refusals": 0}
    others = dict.fromkeys(column.name for column in PassportVerb.__table__.columns)
    return others | papers | {"emr": emr, "resource": resource, "verb": name}


def save_verbs(connection: sa.Connection, rows: Rows) -> None:
    """Whole rows, inserted or replaced."""
    upsert(connection, PassportVerb, rows)


def facts(connection: sa.Connection, emr: str) -> list[Any]:
    order = (PassportFact.resource, PassportFact.name)
    statement = sa.select(PassportFact.__table__).where(PassportFact.emr == emr).order_by(*order)
    return list(connection.execute(statement))


def fact(connection: sa.Connection, emr: str, resource: str, name: str) -> Any | None:
    values = {"of_emr": emr, "of_resource": resource, "named": name}
    return connection.execute(_FACT, values).one_or_none()


def save_fact(
    connection: sa.Connection,
    emr: str,
    resource: str,
    name: str,
    value: str,
    *,
    at: dt.datetime,
    detail: dict[str, Any] | None = None,
) -> None:
    row = {"emr": emr, "resource": resource, "name": name, "value": value, "detail": detail or {}, "at": at}
    upsert(connection, PassportFact, [row])


def drop_fact(connection: sa.Connection, emr: str, resource: str, name: str) -> None:
    statement = sa.delete(PassportFact).where(
        PassportFact.emr == emr, PassportFact.resource == resource, PassportFact.name == name
    )
    connection.execute(statement)


def forget(connection: sa.Connection, emr: str, *, facts: Iterable[str]) -> None:
    """Drop all refusals, and the facts of these names."""
    connection.execute(sa.update(PassportVerb).where(PassportVerb.emr == emr).values(refusals=0))
    gone = sa.delete(PassportFact).where(PassportFact.emr == emr, PassportFact.name.in_(facts))
    connection.execute(gone)


def add_changes(connection: sa.Connection, emr: str, texts: Iterable[str], *, at: dt.datetime) -> None:
    rows = [{"emr": emr, "at": at, "text": text} for text in texts]
    if rows:
        connection.execute(sa.insert(PassportChange), rows)


def changes(connection: sa.Connection, emr: str, *, after: int = 0, limit: int | None = None) -> list[Any]:
    """Newest first; `after` is the id of the last one that is known already."""
    statement = sa.select(PassportChange.__table__).where(
        PassportChange.emr == emr, PassportChange.id > after
    )
    return list(connection.execute(statement.order_by(PassportChange.id.desc()).limit(limit)))


def last_change(connection: sa.Connection, emr: str) -> int:
    """The id of the newest change, 0 before the first."""
    statement = sa.select(sa.func.max(PassportChange.id)).where(PassportChange.emr == emr)
    return connection.scalar(statement) or 0


def own(connection: sa.Connection, emr: str, type_: str, *, limit: int) -> list[Any]:
    """What we wrote of one FHIR type and nobody deleted, newest first: rows of placement_id, reference,
    patient_id, system, value, version."""
    columns = (
        Placement.id.label("placement_id"),
        Placement.reference,
        Placement.version,
        Intent.patient_id,
        Intent.system,
        Intent.value,
    )
    statement = (
        sa.select(*columns)
        .join(Intent, Placement.intent_id == Intent.id)
        .where(
            Intent.emr == emr,
            Placement.state == "written",
            Placement.deleted.is_(False),
            # What travels inside another has no resource of its own.
            sa.or_(Placement.rung == NATIVE, Intent.kind != "Goal"),
            Placement.reference.startswith(f"{type_}/", autoescape=True),
        )
    )
    return list(connection.execute(statement.order_by(Placement.id.desc()).limit(limit)))
