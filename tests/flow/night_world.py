"""A practice in a night test: a real sandbox EMR over HTTP, a real store, and small patients."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from cm_service import wiring
from cm_service.db import connections, ledger
from cm_service.db.engine import Database
from cm_service.db.tables import Base
from cm_service.flow.nightly import NightOptions, night
from cm_service.sandbox import server
from cm_service.sandbox.store import Store
from cm_service.settings import Settings
from tests.flow.bad_network import Network, bad_network

AS_OF = dt.datetime.fromisoformat("2026-11-20T20:00:00-05:00")
BASE = "https://cm.example"
LOINC, ICD = "http://loinc.org", "http://hl7.org/fhir/sid/icd-10-cm"
Json = dict[str, Any]


def patient(id_: str = "p1", **changes: Any) -> Json:
    return {"resourceType": "Patient", "id": id_, "birthDate": "1976-05-01", "active": True, **changes}


def diabetes(who: str = "p1", **changes: Any) -> Json:
    return condition(f"{who}-dm", "E11.9", who, **changes)


def condition(id_: str, code: str, who: str = "p1", **changes: Any) -> Json:
    system = "http://terminology.hl7.org/CodeSystem/condition-"
    return {
        "resourceType": "Condition",
        "id": id_,
        "clinicalStatus": {"coding": [{"system": f"{system}clinical", "code": "active"}]},
        "category": [{"coding": [{"system": f"{system}category", "code": "problem-list-item"}]}],
        "code": {"coding": [{"system": ICD, "code": code}]},
        "subject": {"reference": f"Patient/{who}"},
        "recordedDate": "2024-01-05",
        **changes,
    }


def a1c(value: float = 8.6, who: str = "p1", id_: str | None = None, **changes: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": id_ or f"{who}-a1c",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "4548-4"}]},
        "subject": {"reference": f"Patient/{who}"},
        "effectiveDateTime": "2026-11-10",
        "valueQuantity": {"value": value, "unit": "%", "code": "%"},
        **changes,
    }


def stay(id_: str = "stay", who: str = "p1", **changes: Any) -> Json:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{who}"},
        "period": {"start": "2026-11-16T10:00:00-05:00", "end": "2026-11-19T14:00:00-05:00"},
        "hospitalization": {
            "dischargeDisposition": {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/discharge-disposition",
                        "code": "home",
                    }
                ]
            }
        },
        **changes,
    }


def out_of_range(who: str = "p1") -> list[Json]:
    """A diabetic above target: one Goal, one draft plan, one Task."""
    return [patient(who), diabetes(who), a1c(who=who)]


class Practice:
    """`emr` is the EMR's own store; `run` is one night through the front door."""

    def __init__(
        self,
        database: Database,
        emr: Store,
        base_url: str,
        folder: Path,
        *,
        timeout: float = 5.0,
        **columns: Any,
    ) -> None:
        self.database, self.emr, self.base_url, self.folder = database, emr, base_url, folder
        self.settings = Settings(
            data_dir=folder / "data", identifier_base=BASE, read_attempts=2, read_timeout_seconds=timeout
        )
        self.tools = wiring.night_tools(self.settings, database)
        self.columns = columns
        self.add(**columns)

    def add(self, **columns: Any) -> None:
        usual: Json = {
            "slug": "clinic",
            "base_url": self.base_url,
            "timezone": "America/Detroit",
            "auth": "none",
            "token_reference": None,
            "group_id": None,
            "practice": None,
            "owner": None,
            "write_mode": "propose",
            "settings": {},
        }
        with self.database.write() as connection:
            connections.add_emr(connection, now=AS_OF, **{**usual, **columns})

    def set(self, **columns: Any) -> None:
        with self.database.write() as connection:
            connections.update_emr(connection, "clinic", **columns)

    def lose_store(self) -> None:
        """Everything that the service knew is gone; the connection is registered again."""
        with self.database.write() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                if table.name != "audit":  # of which the database itself lets nobody take anything
                    connection.execute(table.delete())
        self.add(**self.columns)

    def run(self, as_of: dt.datetime = AS_OF, **options: Any) -> Json:
        self.emr.clock = lambda: as_of
        chosen = NightOptions(as_of=as_of, **{"max_new": None, **options})
        return night(self.tools, "clinic", chosen, lambda _text: None)

    def rows(self, **filters: Any) -> list[Any]:
        with self.database.read() as connection:
            rows = ledger.listed(connection)
        return [row for row in rows if all(getattr(row, name) == value for name, value in filters.items())]

    def row(self, kind: str, code: str | None = None) -> Any:
        rows = self.rows(kind=kind) if code is None else self.rows(kind=kind, code=code)
        assert len(rows) == 1, [(row.kind, row.code, row.state) for row in rows]
        return rows[0]

    def held(self, kind: str, code: str | None = None) -> Json:
        """Our resource of this kind as the EMR holds it."""
        row = self.row(kind, code)
        version = self.emr.current(kind, row.reference.partition("/")[2])
        assert version is not None and version.resource is not None
        return version.resource

    def edit(self, kind: str, code: str | None = None, **elements: Any) -> None:
        """A clinician changes our resource in the EMR."""
        id_ = self.row(kind, code).reference.partition("/")[2]
        self.emr.clinician_edit(kind, id_, lambda resource: resource.update(elements))

    def writes(self) -> int:
        return len(self.emr.written())

    def copies(self) -> dict[str, int]:
        """Intent -> copies that the EMR holds or ever held, of everything in the ledger."""
        return {
            f"{row.kind} {row.code} {row.patient_id} {row.id}": self.copies_of(row) for row in self.rows()
        }

    def copies_of(self, row: Any) -> int:
        return self.emr.count_identifier(row.kind, row.system, row.value, ever=True)


@cache
def _served() -> tuple[Store, str, ExitStack]:
    """One server for the whole run: ending one takes longer than a night."""
    emr, stack = Store(), ExitStack()
    return emr, stack.enter_context(server.running(emr)), stack


def emr_with(resources: list[Json]) -> tuple[Store, str]:
    """The EMR with these resources and nothing else, and its base URL."""
    emr, base_url, _ = _served()
    emr.clear()
    emr.clock = lambda: AS_OF
    emr.load(resources)
    return emr, base_url


@contextmanager
def practice(database: Database, folder: Path, resources: list[Json], **columns: Any) -> Iterator[Practice]:
    emr, base_url = emr_with(resources)
    yield Practice(database, emr, base_url, folder, **columns)


@contextmanager
def far_practice(
    database: Database, folder: Path, resources: list[Json], *, patience: float = 1.0, **columns: Any
) -> Iterator[tuple[Practice, Network]]:
    """The same, with a network in between that can be told to fail; it waits `patience` seconds for an
    answer: on a busy machine one that was in time for nobody is a fault that no test asked for."""
    emr, base_url = emr_with(resources)
    with bad_network(base_url) as network:
        yield Practice(database, emr, network.base, folder, timeout=patience, **columns), network
