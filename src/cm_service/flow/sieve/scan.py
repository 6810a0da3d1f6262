"""The columnar half of reading: DuckDB keeps the lines that any rule can use, in their order.

Lines are read as text, not with DuckDB's NDJSON reader: that one fails a whole scan on one long
line and turns a bad line into NULL without its place. A delimiter that JSON never holds raw makes
each line one column.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from cm_service.fhir.resource_types import RESOURCE_TYPES
from cm_service.flow.normalise import KINDS, OWNED, PLACES
from cm_service.flow.normalisers.used_codes import (
    ESCAPE,
    ORDER_SETS,
    RESULT_SETS,
    ConceptMap,
    pattern,
    pattern_of_death,
)
from cm_service.flow.sieve.dying import Dying, is_theirs, with_joined
from cm_service.flow.sieve.files import LineFile
from cm_service.flow.sieve.gather import Row
from cm_service.flow.sieve.sql import list_of, text_of

_FETCH = 5000  # rows: large enough to be quick, small enough to stay out of the way
_SMALLEST_BUFFER = 20_000_001  # bytes; DuckDB reads fastest with about this much
_MISTAKE = "entered-in-error"
_RESULTS, _ORDERS = ("Observation",), ("Procedure", "ServiceRequest")
_BY_CODE = {_RESULTS: RESULT_SETS, _ORDERS: ORDER_SETS}
_CODED = (*_RESULTS, *_ORDERS)


def _holds(codes: str) -> str:
    return f"(regexp_matches(line, {text_of(codes)}) OR contains(line, {text_of(ESCAPE)}))"


# All paths in one call, so that a line is parsed once; NULL where the line is no JSON.
_HEAD = "try(json_extract_string(line, ['$.resourceType', '$.id', '$.subject.reference']))"
_OWNER = """CASE type WHEN 'Patient' THEN 'Patient/' || id
    WHEN 'Consent' THEN json_extract_string(line, '$.patient.reference')
    WHEN 'Task' THEN json_extract_string(line, '$.for.reference')
    WHEN 'Appointment' THEN list_filter(json_extract_string(line, '$.participant[*].actor.reference'),
        lambda actor: contains(actor, 'Patient/'))[1]
    ELSE subject END"""
# What cannot become a fact; only types that rules read need an id and an owner. CASE asks in this
# order, where AND and OR would not.
_FAULT = f"""CASE WHEN head IS NULL THEN CASE WHEN trim(line) <> '' THEN 'malformed_json' END
    WHEN type IS NULL OR type = 'Bundle' THEN 'wrong_type'
    WHEN promised <> '' AND type <> promised THEN 'wrong_type'
    WHEN type NOT IN {list_of(KINDS)}
        THEN CASE WHEN type NOT IN {list_of(sorted(RESOURCE_TYPES))} THEN 'wrong_type' END
    WHEN coalesce(id, '') = '' THEN 'no_id'
    WHEN ref IS NULL AND type NOT IN {list_of(PLACES)} THEN 'no_subject' END"""
# Asked while both cores scan: when the rows are fetched, one would do it alone.
_TWICE = """CASE WHEN wanted AND fault IS NULL
    THEN len(json_keys(line)) <> len(list_distinct(json_keys(line))) ELSE false END"""
_ROW = "file, type, line, twice"
_KEY = "hash(type, id)"  # of a resource, small enough to be kept of every line
_LEFT_OUT = "key IS NOT NULL AND type IS NULL"  # until all has landed: a line of which only the key stays


class Scan:
    """One scan of prepared files. Everything that it keeps is in the table `landed`, whose rowid is
    the order of the lines (among versions of one resource). `dying`: of whom every result is kept."""

    def __init__(self, files: list[LineFile], *, work: Path, limit: int, concept_map: ConceptMap) -> None:
        self._files, self._limit, self._concept_map = files, limit, concept_map
        self._connection = duckdb.connect(config={"temp_directory": str(work)})
        self._run(
            """CREATE TABLE landed
               (file INTEGER, type TEXT, id TEXT, ref TEXT, fault TEXT, line TEXT, twice BOOLEAN,
                key UBIGINT)"""
        )
        self.dying = Dying()
        self._land()

    def close(self) -> None:
        self._connection.close()

    # --- what is in it

    def faults(self) -> list[tuple[int, str, str]]:
        """(number of the file, reason, line) of the lines that nothing can be made of."""
        return self._run(
            "SELECT file, fault, line FROM landed WHERE fault IS NOT NULL ORDER BY rowid"
        ).fetchall()

    def unreadable(self) -> dict[str, list[int]]:
        """Line numbers, by path, that DuckDB itself could not read (no UTF-8). They may be off where
        lines end in CRLF."""
        found: dict[str, list[int]] = {}
        if not self._files:
            return found  # no scan, so there are no tables of its rejects
        rows = self._run(
            "SELECT DISTINCT file_path, line FROM reject_errors JOIN reject_scans USING (scan_id, file_id)"
        )
        for path, line in rows.fetchall():
            found.setdefault(path, []).append(line)
        return found

    def counts(self) -> dict[str, int]:
        """Kept lines by type."""
        return dict(
            self._run("SELECT type, count(*) FROM landed WHERE fault IS NULL GROUP BY type").fetchall()
        )

    def owners(self) -> list[tuple[str, int]]:
        """Every reference to a patient as written, and how many lines have it."""
        return self._run(
            """SELECT ref, count(*) FROM landed WHERE fault IS NULL AND ref IS NOT NULL AND type <> 'Patient'
               GROUP BY ref"""
        ).fetchall()

    def patients(self) -> list[str]:
        return [
            id
            for (id,) in self._run(
                "SELECT DISTINCT id FROM landed WHERE fault IS NULL AND type = 'Patient'"
            ).fetchall()
        ]

    def rows(self, where: str, *values: Any) -> Iterator[Row]:
        """Landed lines in their order; `where` is SQL of this package, never input."""
        return map(
            Row._make,
            self._stream(
                f"SELECT {_ROW} FROM landed WHERE fault IS NULL AND {where} ORDER BY rowid", *values
            ),
        )

    def containing(self, text: str, types: Iterable[str]) -> Iterator[str]:
        """The JSON text of landed resources of these types that contain a text anywhere."""
        query = """SELECT line FROM landed
            WHERE fault IS NULL AND list_contains(?, type) AND contains(line, ?) ORDER BY rowid"""
        return (line for (line,) in self._stream(query, list(types), text))

    def unowned(self) -> Iterator[Row]:
        """Lines whose reference means no patient of this EMR."""
        query = f"""SELECT {_ROW} FROM landed ANTI JOIN owner USING (ref)
            WHERE fault IS NULL AND type IN {list_of(OWNED)} ORDER BY landed.rowid"""
        return map(Row._make, self._stream(query))

    # --- by patient

    def assign(self, patients: dict[str, str]) -> None:
        """Say which patient each reference means."""
        self._run(
            """CREATE OR REPLACE TABLE owner AS
               SELECT key AS ref, json_extract_string(value, '$') AS patient FROM json_each(?)""",
            json.dumps(patients),  # as one text: two lists of values take DuckDB a hundred times as long
        )

    def torn(self) -> list[tuple[str, str]]:
        """(type, id) of resources that came under more than one patient."""
        return self._run(
            """SELECT type, id FROM landed JOIN owner USING (ref) WHERE fault IS NULL
               GROUP BY type, id HAVING count(DISTINCT patient) > 1"""
        ).fetchall()

    def by_patient(self) -> Iterator[tuple[str, Row]]:
        """(patient id, line), patient by patient, in the order of the lines; results come last."""
        query = f"""SELECT patient, {_ROW} FROM landed JOIN owner USING (ref) WHERE fault IS NULL
            ORDER BY patient, type = 'Observation', landed.rowid"""
        return ((row[0], Row._make(row[1:])) for row in self._stream(query))

    # --- SQL

    def _wanted(self, files: Sequence[int]) -> str:
        """The codes of a type that these files do not promise are left out, for they take longer to compile
        than a small file to read; a line of that type is then one of the wrong type."""
        promised = {self._files[number].promised for number in files}
        coded = [kinds for kinds in _BY_CODE if promised & {*kinds, ""}]
        keys = [f"WHEN type IN {list_of(kinds)} THEN {self._coded(kinds)}" for kinds in coded]
        others = sorted(KINDS.keys() - set().union(*_BY_CODE))
        return f"CASE WHEN type IS NULL THEN false {' '.join(keys)} ELSE type IN {list_of(others)} END"

    def _coded(self, kinds: tuple[str, ...]) -> str:
        """May the line hold a code that rules read? What was entered in error is wanted whatever it holds."""
        codes = pattern(_BY_CODE[kinds], self._concept_map)
        return _holds(f'{codes}|"{_MISTAKE}"')

    def _select(self, wanted: str, *, files: Sequence[int], again: bool = False) -> str:
        """Most lines are neither wanted nor odd and leave at the first filter; what is dear comes after.
        No JOIN tells the files apart: it would not keep the order of the lines. Of resources that are
        kept by their code the key stays of every line, unless the files are read `again`."""
        size = self._limit + 16  # longer lines have been taken out before
        paths = list_of((str(self._files[number].path) for number in files), "[]")
        promised = list_of((self._files[number].promised for number in files), "[]")
        coded = "false" if again else f"type IN {list_of(_CODED)}"
        columns = [f"CASE WHEN kept THEN {name} END" for name in ("type", "id", "ref", "fault", "line")]
        return f"""
            SELECT file, {", ".join(columns)}, {_TWICE}, CASE WHEN {coded} THEN {_KEY} END FROM (
            SELECT *, {"wanted AND fault IS NULL" if again else "wanted OR fault IS NOT NULL"} AS kept FROM (
            SELECT *, CASE WHEN wanted OR odd THEN {_FAULT} END AS fault FROM (
                SELECT *, CASE WHEN wanted OR odd THEN {_OWNER} END AS ref FROM (SELECT *,
                    type IS DISTINCT FROM promised OR id IS NULL
                        OR (subject IS NULL AND type IN {list_of(OWNED)}) AS odd FROM (
                    SELECT *, {wanted} AS wanted FROM (
                        SELECT {list(files)}[spot] AS file, {promised}[spot] AS promised, line, head,
                            head[1] AS type, head[2] AS id, head[3] AS subject
                        FROM (SELECT list_position({paths}, filename) AS spot, line, {_HEAD} AS head
                            FROM read_csv({paths}, auto_detect=false, header=false,
                                columns={{'line': 'VARCHAR'}}, delim='\x01', quote='', escape='',
                                new_line='\\n', strict_mode=false, max_line_size={size},
                                buffer_size={max(size, _SMALLEST_BUFFER)}, compression='none', filename=true,
                                ignore_errors=true, store_rejects=true, rejects_limit=0)
                            WHERE line IS NOT NULL))))
                WHERE wanted OR odd OR {coded})))
            WHERE kept OR {coded}"""

    def _land(self) -> None:
        """Any later result disbelieves a death (rules.md 2.4), so for patients with an expired
        disposition Observations of every code are kept. Files of Observations alone therefore come
        last; where results stand among other lines, these files are read again for the dying."""
        results = [n for n, file in enumerate(self._files) if file.promised == "Observation"]
        others = [n for n, file in enumerate(self._files) if file.promised != "Observation"]
        self._scan(self._wanted(others), files=others)
        self.dying = self._dying()
        of_theirs = is_theirs(self.dying.ids) if self.dying.ids else "false"
        mixed = [n for n in others if not self._files[n].promised]
        if self.dying.ids and mixed:
            again = f"CASE WHEN {of_theirs} THEN NOT {self._coded(_RESULTS)} ELSE false END"
            self._scan(again, files=mixed, again=True)
        self._scan(f"CASE WHEN {of_theirs} THEN true ELSE {self._wanted(results)} END", files=results)
        self._land_versions([*others, *results])

    def _land_versions(self, files: Sequence[int]) -> None:
        """Of a resource of which one version holds a listed code and another none, every version is kept:
        the newest speaks (rules.md 0.2). Nearly no folder has one; its files are then read again."""
        rows = self._run(
            f"""SELECT DISTINCT key FROM landed WHERE {_LEFT_OUT}
                AND key IN (SELECT key FROM landed WHERE fault IS NULL AND type IS NOT NULL)"""
        ).fetchall()
        self._run(f"DELETE FROM landed WHERE {_LEFT_OUT}")
        if rows:
            keys = ", ".join(f"{key}::UBIGINT" for (key,) in rows)
            versions = f"type IN {list_of(_CODED)} AND {_KEY} IN ({keys})"
            self._run(f"DELETE FROM landed WHERE fault IS NULL AND {versions}")
            coded = [n for n in files if self._files[n].promised in (*_CODED, "")]
            self._scan(f"coalesce({versions}, false)", files=coded, again=True)

    def _dying(self) -> Dying:
        """Patients of whom an Encounter says that they died. Nearly no folder has one."""
        rows = self._run(
            f"""SELECT DISTINCT ref FROM landed WHERE fault IS NULL AND type = 'Encounter' AND ref IS NOT NULL
                AND CASE WHEN contains(line, '"dischargeDisposition"')
                    THEN {_holds(pattern_of_death(self._concept_map))} END"""
        ).fetchall()
        return with_joined((ref for (ref,) in rows), self._links()) if rows else Dying()

    def _links(self) -> list[list[str]]:
        """Whom each Patient that may be replaced joins: itself and those whom its links name."""
        rows = self._run(
            f"""SELECT id, json_extract_string(line, '$.link[*].other.reference') FROM landed
                WHERE fault IS NULL AND type = 'Patient'
                AND (contains(line, 'replaced-by') OR contains(line, {text_of(ESCAPE)}))"""
        ).fetchall()
        return [[f"Patient/{name}", *filter(None, others)] for name, others in rows]

    def _scan(self, wanted: str, *, files: Sequence[int], again: bool = False) -> None:
        """Pushed down through our projections, a filter would parse every line several times; an IN that
        becomes a join would not keep the order of the lines."""
        if files:
            self._run("SET disabled_optimizers = 'filter_pushdown,in_clause'")
            self._run(f"INSERT INTO landed {self._select(wanted, files=files, again=again)}")
            self._run("RESET disabled_optimizers")

    def _run(self, query: str, *values: Any) -> duckdb.DuckDBPyConnection:
        return self._connection.execute(query, list(values) or None)

    def _stream(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        cursor = self._connection.cursor().execute(query, list(values) or None)
        while rows := cursor.fetchmany(_FETCH):
            yield from rows
