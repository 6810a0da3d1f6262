"""The synthetic panel: the same every time, valid, and with every kind of patient that it promises."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pydantic
import pytest

from cm_service.errors import BadInput
from cm_service.fhir.invariants import broken
from cm_service.fhir.resources import model_of
from cm_service.rules.dates import parse_when
from cm_service.sandbox.checks import reference_holders
from cm_service.sandbox.panel import SCENARIOS, build_panel, cast, write_panel
from cm_service.sandbox.wire import encode
from tests.sandbox.builders import RunningEmr, bundle, entry

DETROIT = ZoneInfo("America/Detroit")
AS_OF = dt.datetime(2026, 11, 22, 15, 0, tzinfo=DETROIT)
PANEL = build_panel(as_of=AS_OF, zone=DETROIT)

Resource = dict[str, Any]
Predicate = Callable[[Resource], bool]


def _of(type_: str, panel: list[Resource] = PANEL) -> list[Resource]:
    return [resource for resource in panel if resource["resourceType"] == type_]


def _codes(concept: Resource | None) -> set[str]:
    return {coding["code"] for coding in (concept or {}).get("coding", [])}


def _quantity(resource: Resource) -> Resource:
    return resource.get("valueQuantity", {})


def _to(resource: Resource) -> set[str]:
    return _codes(resource.get("hospitalization", {}).get("dischargeDisposition"))


def _systems(resource: Resource) -> set[str]:
    return {coding["system"] for coding in resource["code"].get("coding", [])}


def _category(resource: Resource) -> set[str]:
    return {code for category in resource.get("category", []) for code in _codes(category)}


def _age(patient: Resource) -> int:
    return AS_OF.year - int(patient.get("birthDate", "1980")[:4])


PROMISED: dict[str, tuple[str, Predicate]] = {
    "a result in mmol/mol": ("Observation", lambda r: _quantity(r).get("unit") == "mmol/mol"),
    "a result as text": ("Observation", lambda r: "valueString" in r),
    "a comparator": ("Observation", lambda r: "comparator" in _quantity(r)),
    "a unit missing": ("Observation", lambda r: "valueQuantity" in r and "unit" not in _quantity(r)),
    "an HbA1c in a component": (
        "Observation",
        lambda r: any("4548-4" in _codes(part["code"]) for part in r.get("component", [])),
    ),
    "a pending result": ("Observation", lambda r: r["status"] == "registered"),
    "a result entered in error": ("Observation", lambda r: r["status"] == "entered-in-error"),
    "a month as a date": ("Observation", lambda r: len(r.get("effectiveDateTime", "")) == 7),
    "a time without offset": ("Observation", lambda r: len(r.get("effectiveDateTime", "")) == 19),
    "a nursing home": ("Observation", lambda r: "160734000" in _codes(r.get("valueCodeableConcept"))),
    "an individual target": (
        "Goal",
        lambda r: "4548-4" in str(r.get("target")) and r["lifecycleStatus"] == "active",
    ),
    "a pregnancy": ("Condition", lambda r: "77386006" in _codes(r["code"])),
    "a discharge home": ("Encounter", lambda r: "home" in _to(r) and r["class"]["code"] == "IMP"),
    "a departure against advice": ("Encounter", lambda r: "aadvice" in _to(r)),
    "a discharge to skilled nursing": ("Encounter", lambda r: "snf" in _to(r)),
    "a transfer": ("Encounter", lambda r: "other-hcf" in _to(r)),
    "a death in the hospital": ("Encounter", lambda r: "exp" in _to(r)),
    "a discharge to nowhere known": ("Encounter", lambda r: r["class"]["code"] == "IMP" and not _to(r)),
    "an open stay": ("Encounter", lambda r: r["status"] == "in-progress" and "end" not in r["period"]),
    "a stale stay": ("Encounter", lambda r: r["status"] == "in-progress" and "end" in r["period"]),
    "an unmapped class": ("Encounter", lambda r: "sandbox.example" in r["class"]["system"]),
    "ICD-10-CM": ("Condition", lambda r: "http://hl7.org/fhir/sid/icd-10-cm" in _systems(r)),
    "SNOMED CT": ("Condition", lambda r: "http://snomed.info/sct" in _systems(r)),
    "a problem list": ("Condition", lambda r: "problem-list-item" in _category(r)),
    "an encounter diagnosis": ("Condition", lambda r: "encounter-diagnosis" in _category(r)),
    "a code in words only": ("Condition", lambda r: "coding" not in r["code"]),
    "conflicting codings": ("Condition", lambda r: len(_systems(r)) == 2),
    "a death without date": ("Patient", lambda r: r.get("deceasedBoolean") is True),
    "a death with date": ("Patient", lambda r: "deceasedDateTime" in r),
    "a merge": ("Patient", lambda r: any(link["type"] == "replaced-by" for link in r.get("link", []))),
    "an older adult": ("Patient", lambda r: _age(r) >= 66),
    "a child": ("Patient", lambda r: _age(r) < 17),
    "no birth date": ("Patient", lambda r: "birthDate" not in r),
    "no meta": ("Patient", lambda r: "meta" not in r),
    "a hospice order": ("ServiceRequest", lambda r: "385763009" in _codes(r["code"])),
    "a refusal": ("Consent", lambda r: r["provision"]["type"] == "deny"),
    "a care manager": ("CareTeam", lambda r: "Care manager" in str(r)),
    "a foreign plan": ("CarePlan", lambda r: "other-program" in r["identifier"][0]["system"]),
    "a foreign task": ("Task", lambda r: "other-program" in r["identifier"][0]["system"]),
    "an appointment": ("Appointment", lambda r: r["status"] == "booked"),
    "a practice": ("Organization", lambda r: "Practice" in r["name"]),
    "a place": ("Location", lambda r: "managingOrganization" in r),
    "a practitioner": ("Practitioner", lambda r: r["active"]),
}


@pytest.mark.parametrize("kind", PROMISED)
def test_the_panel_holds(kind: str) -> None:
    type_, predicate = PROMISED[kind]
    assert any(predicate(resource) for resource in _of(type_))


def test_the_same_seed_moment_and_zone_give_the_same_bytes() -> None:
    assert encode(build_panel(as_of=AS_OF, zone=DETROIT)) == encode(PANEL)
    assert encode(build_panel(as_of=AS_OF, zone=DETROIT, seed=7)) != encode(PANEL)


def test_at_least_two_hundred_patients_play_every_scenario() -> None:
    assert len(_of("Patient")) >= 200
    assert set(cast().values()) == set(SCENARIOS)
    assert {patient["id"] for patient in _of("Patient")} >= set(cast())
    keys = [(resource["resourceType"], resource["id"]) for resource in PANEL]
    assert len(set(keys)) == len(keys)


def test_a_panel_too_small_to_show_everything_is_refused() -> None:
    with pytest.raises(BadInput, match=str(len(SCENARIOS))):
        build_panel(as_of=AS_OF, zone=DETROIT, patients=len(SCENARIOS) - 1)
    assert len(_of("Patient", build_panel(as_of=AS_OF, zone=DETROIT, patients=1000))) >= 1000


def test_everything_is_valid_r4_but_for_the_times_that_are_wrong_on_purpose() -> None:
    wrong = set()
    for resource in PANEL:
        assert not list(broken(resource))
        try:
            model_of(resource["resourceType"]).model_validate(resource)
        except pydantic.ValidationError:
            wrong.add(resource.get("effectiveDateTime"))
    assert wrong == {"2026-11-02T08:30:00"}


def test_every_reference_leads_to_something_in_the_panel() -> None:
    keys = {f"{resource['resourceType']}/{resource['id']}" for resource in PANEL}
    for resource in PANEL:
        for holder in reference_holders(resource):
            target = holder["reference"].partition("/_history")[0]
            assert target in keys or target == "#meter", target


@pytest.mark.parametrize(
    "day", [dt.date(2026, 3, 9), dt.date(2026, 11, 2), dt.date(2028, 2, 29), dt.date(2027, 1, 1)]
)
@pytest.mark.parametrize("zone", ["America/Detroit", "Pacific/Auckland", "UTC"])
def test_on_any_day_in_any_zone_nothing_has_happened_yet_that_could_not(day: dt.date, zone: str) -> None:
    place = ZoneInfo(zone)
    as_of = dt.datetime.combine(day, dt.time(0, 30), tzinfo=place)
    panel = build_panel(as_of=as_of, zone=place)
    for encounter in _of("Encounter", panel):
        times = [encounter["period"][side] for side in ("start", "end") if side in encounter["period"]]
        instants = [dt.datetime.fromisoformat(time) for time in times]
        assert all(instant < as_of for instant in instants)
        assert all(earlier <= later for earlier, later in pairwise(instants))


def test_a_patient_is_as_old_as_its_scenario_says() -> None:
    born = {patient["id"]: patient.get("birthDate", "") for patient in _of("Patient")}
    for id_, kind in cast().items():
        if len(born[id_]) == 10:
            days = AS_OF.date().toordinal() - parse_when(born[id_]).low
            assert kind.ages[0] <= days / 365.25 < kind.ages[1] + 1


def test_the_panel_can_be_written_over_http_and_read_back_whole(emr: RunningEmr) -> None:
    puts = [entry("PUT", f"{r['resourceType']}/{r['id']}", json.loads(encode(r))) for r in PANEL]
    answer = emr.post(bundle("transaction", *puts))
    assert answer.status_code == 200, answer.text[:500]
    for type_ in ("Encounter", "Observation"):
        page, ids = emr.http.get(f"{type_}?_count=100").json(), set()
        while True:
            ids |= {part["resource"]["id"] for part in page["entry"]}
            following = [link["url"] for link in page["link"] if link["relation"] == "next"]
            if not following:
                break
            page = emr.http.get(following[0]).json()
        assert ids == {resource["id"] for resource in _of(type_)}


def test_the_panel_is_written_as_ndjson_one_file_a_type(tmp_path: Path) -> None:
    counts = write_panel(PANEL, tmp_path / "panel")
    assert sum(counts.values()) == len(PANEL)
    lines = (tmp_path / "panel" / "Encounter.ndjson").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [r["id"] for r in _of("Encounter")]


def test_every_scenario_tells_its_story() -> None:
    assert all(kind.story.endswith(".") for kind in SCENARIOS)
    names = [kind.name for kind in SCENARIOS]
    assert len(set(names)) == len(names)
