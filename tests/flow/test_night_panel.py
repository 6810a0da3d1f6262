"""The whole synthetic practice, once per store: what a night leaves behind in the EMR and in the ledger."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cm_service.db.engine import Database
from cm_service.fhir.resources import validate
from cm_service.sandbox import server
from cm_service.sandbox.panel import build_panel
from cm_service.sandbox.store import Store
from tests.flow.night_world import AS_OF, BASE, Json, Practice
from tests.real.stores import STORES

DAY = dt.timedelta(days=1)
OURS = ("Goal", "CarePlan", "Task")
RANK = {"Goal": 0, "CarePlan": 1, "Task": 2}


class Nights:
    """Two nights at the same moment; `first` and `second` are their summaries."""

    def __init__(self, clinic: Practice) -> None:
        self.clinic = clinic
        self.first = clinic.run()
        self.writes = clinic.writes()
        self.second = clinic.run()
        self.written = [version.resource for version in clinic.emr.written() if version.resource]


@pytest.fixture(scope="module", params=STORES)
def nights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    folder = tmp_path_factory.mktemp("night")
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres_cluster")
        url = cluster.create(template=request.getfixturevalue("postgres_template"))
    else:
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "store.sqlite3")
        url = f"sqlite:///{folder / 'store.sqlite3'}"
    database = Database(url, lock_dir=folder / "locks")
    emr = Store(clock=lambda: AS_OF)
    emr.load(build_panel(as_of=AS_OF, zone=ZoneInfo("America/Detroit")))
    with server.running(emr) as base_url:
        clinic = Practice(database, emr, base_url, folder, practice="Organization/practice")
        yield Nights(clinic)
    database.engine.dispose()


def test_the_first_night_reads_judges_and_writes(nights: Nights) -> None:
    first = nights.first
    assert first["patients"] == len(nights.clinic.emr.live("Patient"))
    assert first["decisions"] == 10 * first["patients"]
    assert first["eligible"] > 100
    assert first["insufficient_data"] > 10
    assert first["written"] == nights.writes == first["intents"]
    assert [first[name] for name in ("refused", "unknown", "conflict", "parked", "pending")] == [0] * 5


def test_the_second_night_at_the_same_moment_writes_nothing(nights: Nights) -> None:
    assert (nights.second["written"], nights.second["intents"]) == (0, 0)
    assert nights.clinic.writes() == nights.writes


def test_everything_in_the_ledger_is_found_once_in_the_emr(nights: Nights) -> None:
    assert set(nights.clinic.copies().values()) == {1}
    for row in nights.clinic.rows():
        (found,) = nights.clinic.emr.with_identifier(row.kind, row.value, system=row.system)
        assert row.reference == found.key


def test_everything_of_ours_in_the_emr_is_in_the_ledger(nights: Nights) -> None:
    known = {row.reference for row in nights.clinic.rows()}
    mine = [v.key for kind in OURS for v in nights.clinic.emr.live(kind) if _is_ours(v.resource)]
    assert set(mine) == known


def test_every_written_resource_is_valid_fhir(nights: Nights) -> None:
    assert len(nights.written) == nights.writes
    for resource in nights.written:
        validate(resource)


def test_every_link_leads_to_something_that_is_there(nights: Nights) -> None:
    for resource in nights.written:
        for reference in references(resource):
            assert nights.clinic.emr.exists(reference), (resource["resourceType"], reference)


def test_links_between_what_we_wrote_go_one_way(nights: Nights) -> None:
    mine = {f"{resource['resourceType']}/{resource['id']}" for resource in nights.written}
    order = {row.reference: (RANK[row.kind], row.id) for row in nights.clinic.rows()}
    for resource in nights.written:
        own = order[f"{resource['resourceType']}/{resource['id']}"]
        for reference in references(resource):
            assert reference not in mine or order[reference] < own, (resource, reference)


def test_nothing_is_written_for_a_patient_who_must_be_left_alone(nights: Nights) -> None:
    patients = {version.id: version.resource for version in nights.clinic.emr.live("Patient")}
    for row in nights.clinic.rows():
        subject: Any = patients[row.patient_id]
        assert subject.get("deceasedBoolean") is not True
        assert subject.get("active") is not False


def test_a_month_of_nights_never_makes_a_second_copy_nor_touches_what_others_wrote(nights: Nights) -> None:
    clinic = nights.clinic
    others = {v.key: v.number for kind in OURS for v in clinic.emr.live(kind) if not _is_ours(v.resource)}
    for days in (1, 2, 7, 8, 31):
        report = clinic.run(AS_OF + days * DAY)
        assert report["intents"] == report["written"]
        again = clinic.run(AS_OF + days * DAY)
        assert (again["written"], again["evaluated"] < report["patients"]) == (0, True)
    assert set(clinic.copies().values()) == {1}
    assert {key: clinic.emr.current(*key.split("/")).number for key in others} == others  # type: ignore[union-attr]


def test_a_lost_store_takes_everything_back_and_writes_nothing(nights: Nights) -> None:
    clinic = nights.clinic
    last = AS_OF + 31 * DAY
    before, writes = {row.value: row.reference for row in clinic.rows()}, clinic.writes()
    clinic.lose_store()
    report = clinic.run(last)
    assert (report["written"], report["adopted"]) == (0, len(before))
    assert {row.value: row.reference for row in clinic.rows()} == before
    assert (clinic.run(last + DAY)["written"], clinic.writes()) == (0, writes)


def _is_ours(resource: Json | None) -> bool:
    return any(each.get("system", "").startswith(BASE) for each in (resource or {}).get("identifier", []))


def references(value: Any) -> Iterator[str]:
    """Every literal reference in a resource."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_summary_can_be_kept_and_printed_as_json(nights: Nights) -> None:
    assert json.loads(json.dumps(nights.first))["status"] in ("complete", "partial")
