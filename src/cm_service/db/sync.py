"""Runs, records and places: what a night reads."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cm_service.db.tables import (
    Base,
    Place,
    Record,
    Reject,
    ResourceOwner,
    Run,
)
from cm_service.errors import Lost

Rows = Sequence[dict[str, Any]]
CHUNK = 500  # bound parameters stay far under the limits of both databases


def upsert(connection: sa.Connection, table: type[Base], rows: Rows) -> None:
    """Insert rows, or replace every given column where the primary key exists."""
    if not rows:
        return
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
    keys = [column.name for column in sa.inspect(table).primary_key]
    changes = {name: insert.excluded[name] for name in rows[0] if name not in keys}
    statement = (
        insert.on_conflict_do_update(index_elements=keys, set_=changes)
        if changes
        else insert.on_conflict_do_nothing(index_elements=keys)
    )
    connection.execute(statement, list(rows))


def chunks(items: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for item in items:
        part.append(item)
        if len(part) == CHUNK:
            yield part
            part = []
    if part:
        yield part


# --- runs ---------------------------------------------------------------------------------------


def start_run(
    connection: sa.Connection, *, emr: str, as_of: dt.datetime, started: dt.datetime, source: str
) -> int:
    statement = sa.insert(Run).values(
        emr=emr, as_of=as_of, started_at=started, source=source, status="running", types={}, figures={}
    )
    return int(connection.execute(statement).inserted_primary_key[0])  # type: ignore[index]


def close_dead_runs(connection: sa.Connection, emr: str, *, ended: dt.datetime) -> None:
    """Whoever holds the lease knows: a run that still counts as running died without a word."""
    dead = sa.update(Run).where(Run.emr == emr, Run.status == "running")
    figures = {"reason": "the process ended"}
    connection.execute(dead.values(status="failed", ended_at=ended, figures=figures))


def last_as_of(connection: sa.Connection, emr: str) -> dt.datetime | None:
    """The moment that the newest run of this EMR was about."""
    statement = sa.select(Run.as_of).where(Run.emr == emr).order_by(Run.id.desc()).limit(1)
    return connection.scalar(statement)


def note_types(connection: sa.Connection, run_id: int, types: dict[str, Any]) -> None:
    """How far a run that is under way has come."""
    connection.execute(sa.update(Run).where(Run.id == run_id, Run.status == "running").values(types=types))


def end_run(
    connection: sa.Connection,
    run_id: int,
    *,
    ended: dt.datetime,
    status: str,
    types: dict[str, Any],
    figures: dict[str, Any],
) -> None:
    statement = sa.update(Run).where(Run.id == run_id)
    connection.execute(statement.values(ended_at=ended, status=status, types=types, figures=figures))


def run_of(connection: sa.Connection, run_id: int) -> Any:
    """One run. Raises Lost."""
    row = connection.execute(sa.select(Run.__table__).where(Run.id == run_id)).one_or_none()
    if row is None:
        raise Lost(f"there is no run {run_id}")
    return row


def last_complete(connection: sa.Connection, emr: str) -> dt.datetime | None:
    """As of when the last pull was that could prove itself complete."""
    columns = sa.select(Run.as_of).where(Run.emr == emr, Run.source == "pull", Run.status == "complete")
    return connection.scalar(columns.order_by(Run.id.desc()).limit(1))


def recent_runs(connection: sa.Connection, emr: str | None, limit: int = 10) -> list[dict[str, Any]]:
    statement = sa.select(Run.__table__).order_by(Run.id.desc()).limit(limit)
    if emr is not None:
        statement = statement.where(Run.emr == emr)
    return [dict(row._mapping) for row in connection.execute(statement)]


def run(connection: sa.Connection, emr: str, run_id: int) -> dict[str, Any] | None:
    row = connection.execute(sa.select(Run.__table__).where(Run.id == run_id, Run.emr == emr)).one_or_none()
    return dict(row._mapping) if row is not None else None


def add_rejects(connection: sa.Connection, rows: Rows) -> None:
    for start in range(0, len(rows), CHUNK):
        connection.execute(sa.insert(Reject), list(rows[start : start + CHUNK]))


# --- records ------------------------------------------------------------------------------------


class Held(NamedTuple):
    """What is known of a stored record without decoding it."""

    survivor: str
    digest: str
    holes: tuple[str, ...]


def held_records(connection: sa.Connection, emr: str) -> dict[str, Held]:
    columns = sa.select(Record.patient_id, Record.survivor, Record.digest, Record.holes)
    rows = connection.execute(columns.where(Record.emr == emr))
    return {row.patient_id: Held(row.survivor, row.digest, tuple(row.holes)) for row in rows}


def load_facts(connection: sa.Connection, emr: str, patient_ids: Iterable[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in chunks(patient_ids):
        statement = sa.select(Record.patient_id, Record.facts).where(
            Record.emr == emr, Record.patient_id.in_(part)
        )
        found.update((key, value) for key, value in connection.execute(statement))
    return found


def load_group(connection: sa.Connection, emr: str, survivors: Iterable[str]) -> list[Any]:
    """Rows (patient_id, survivor, facts, holes) of everyone who was merged into one of `survivors`."""
    found: list[Any] = []
    for part in chunks(survivors):
        statement = sa.select(Record.patient_id, Record.survivor, Record.facts, Record.holes).where(
            Record.emr == emr, Record.survivor.in_(part)
        )
        found.extend(connection.execute(statement))
    return found


def save_records(connection: sa.Connection, rows: Rows) -> None:
    upsert(connection, Record, rows)


def drop_records(connection: sa.Connection, emr: str, patient_ids: Iterable[str]) -> None:
    for part in chunks(patient_ids):
        connection.execute(sa.delete(Record).where(Record.emr == emr, Record.patient_id.in_(part)))


_OWN = {
    "sqlite": """INSERT INTO resource_owner (emr, key, patient_id)
        SELECT :emr, key, value FROM json_each(:owners) WHERE true
        ON CONFLICT (emr, key) DO UPDATE SET patient_id = excluded.patient_id""",
    "postgresql": """INSERT INTO resource_owner (emr, key, patient_id)
        SELECT :emr, key, value FROM json_each_text(CAST(:owners AS json))
        ON CONFLICT (emr, key) DO UPDATE SET patient_id = excluded.patient_id""",
}


def own(connection: sa.Connection, emr: str, pairs: list[tuple[str, str]]) -> None:
    """Note who each resource (`Type/id`, patient id) belongs to now. One statement with a JSON
    object: a parameter per value would cost more than everything else that a night stores."""
    if pairs:
        statement = sa.text(_OWN[connection.dialect.name])
        connection.execute(statement, {"emr": emr, "owners": json.dumps(dict(pairs))})


def owners(connection: sa.Connection, emr: str, keys: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in chunks(keys):
        statement = sa.select(ResourceOwner.key, ResourceOwner.patient_id).where(
            ResourceOwner.emr == emr, ResourceOwner.key.in_(part)
        )
        found.update((key, value) for key, value in connection.execute(statement))
    return found


def disown(connection: sa.Connection, emr: str, keys: Iterable[str]) -> None:
    for part in chunks(keys):
        connection.execute(
            sa.delete(ResourceOwner).where(ResourceOwner.emr == emr, ResourceOwner.key.in_(part))
        )


def count_by_type(connection: sa.Connection, emr: str) -> dict[str, int]:
    """Held resources per FHIR type, places included."""
    counts: dict[str, int] = {}
    for table in (ResourceOwner, Place):
        rows = connection.execute(sa.select(table.key).where(table.emr == emr))
        for (key,) in rows:
            kind = key.partition("/")[0]
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def newest_run(connection: sa.Connection, emr: str) -> int | None:
    return connection.scalar(sa.select(sa.func.max(Run.id)).where(Run.emr == emr))


def last_pull(connection: sa.Connection, emr: str) -> Any | None:
    """The newest pull that came to its end, complete or not."""
    ended = sa.and_(Run.emr == emr, Run.source == "pull", Run.status.in_(["complete", "partial"]))
    statement = sa.select(Run.__table__).where(ended).order_by(Run.id.desc()).limit(1)
    return connection.execute(statement).one_or_none()


def count_runs(connection: sa.Connection, emr: str) -> dict[str, int]:
    """Runs by their status, all that are kept."""
    rows = connection.execute(
        sa.select(Run.status, sa.func.count()).where(Run.emr == emr).group_by(Run.status)
    )
    return {str(status): int(number) for status, number in rows}


def keys_of(connection: sa.Connection, emr: str, types: Iterable[str]) -> dict[str, list[str]]:
    """Ids of held resources of these types, places included."""
    found: dict[str, list[str]] = {}
    for table in (ResourceOwner, Place):
        for kind in types:
            named = table.key.startswith(f"{kind}/", autoescape=True)
            for key in connection.scalars(sa.select(table.key).where(table.emr == emr, named)):
                found.setdefault(kind, []).append(key.partition("/")[2])
    return found


# --- places -------------------------------------------------------------------------------------


def held_places(connection: sa.Connection, emr: str) -> dict[str, bytes]:
    rows = connection.execute(sa.select(Place.key, Place.fact).where(Place.emr == emr))
    return {row.key: row.fact for row in rows}


def save_places(connection: sa.Connection, emr: str, facts: Iterable[tuple[str, bytes]]) -> None:
    upsert(connection, Place, [{"emr": emr, "key": key, "fact": fact} for key, fact in facts])


def drop_places(connection: sa.Connection, emr: str, keys: Iterable[str]) -> None:
    for part in chunks(keys):
        connection.execute(sa.delete(Place).where(Place.emr == emr, Place.key.in_(part)))


def users_of_places(connection: sa.Connection, emr: str, keys: set[str]) -> set[str]:
    """Survivors of the records that mention one of these `Type/id` keys (places change rarely, so
    the encoded facts are searched rather than an index kept)."""
    needles = [key.encode() for key in keys]
    rows = connection.execute(sa.select(Record.survivor, Record.facts).where(Record.emr == emr))
    return {row.survivor for row in rows if any(needle in row.facts for needle in needles)}


def set_holes(connection: sa.Connection, emr: str, holes: dict[str, tuple[str, ...]]) -> None:
    """What these records may lack is another thing now: whoever it is about is judged again."""
    if not holes:
        return
    statement = (
        sa.update(Record)
        .where(Record.emr == emr, Record.patient_id == sa.bindparam("who"))
        .values(holes=sa.bindparam("lacks"), due=True)
    )
    connection.execute(statement, [{"who": who, "lacks": list(some)} for who, some in holes.items()])


def set_survivors(connection: sa.Connection, emr: str, survivors: dict[str, str]) -> None:
    if not survivors:
        return
    statement = (
        sa.update(Record)
        .where(Record.emr == emr, Record.patient_id == sa.bindparam("who"))
        .values(survivor=sa.bindparam("to"))
    )
    connection.execute(statement, [{"who": who, "to": to} for who, to in survivors.items()])
