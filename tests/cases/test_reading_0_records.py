"""Reading of rules 0.1, 0.2, 0.3, 0.4 and 0.6: odd dates, versions, references, ids, merged people."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.cases.fhir_json import (
    LOINC,
    a1c,
    condition,
    consent,
    diabetes,
    diagnosis,
    encounter,
    patient,
)
from tests.cases.harness import NO, YES, decide, evaluate

Json = dict[str, Any]
DM = (patient(), diabetes())


def out(*resources: Json, **options: Any) -> Json:
    return decide([*DM, *resources], **options)["A1C-OUT"]


def updated(resource: Json, at: str | None = None, version: str | None = None) -> Json:
    meta = {"lastUpdated": at, "versionId": version}
    return resource | {"meta": {k: v for k, v in meta.items() if v is not None}}


HIGH, LOW = a1c(9.4), a1c(6.2)


def test_of_two_versions_the_newest_update_counts_whatever_the_order_of_lines() -> None:
    newer, older = updated(LOW, "2026-11-12T10:00:00Z"), updated(HIGH, "2026-11-11T10:00:00Z", "9")
    for lines in ([newer, older], [older, newer]):
        decision = out(*lines)
        assert (decision["outcome"], decision["flags"]) == (NO, [])


def test_updates_are_compared_as_instants() -> None:
    newer, older = updated(LOW, "2026-11-12T10:00:00-05:00"), updated(HIGH, "2026-11-12T14:00:00Z")
    assert out(newer, older)["outcome"] == out(older, newer)["outcome"] == NO


def test_without_updates_the_highest_version_number_counts_as_a_number() -> None:
    newer, older = updated(LOW, None, "10"), updated(HIGH, None, "9")
    for lines in ([newer, older], [older, newer]):
        decision = out(*lines)
        assert (decision["outcome"], decision["flags"]) == (NO, [])


def test_equal_updates_are_told_apart_by_the_version() -> None:
    at = "2026-11-12T10:00:00Z"
    assert out(updated(LOW, at, "3"), updated(HIGH, at, "2"))["outcome"] == NO


def test_without_anything_to_order_two_versions_the_later_line_counts_with_a_flag() -> None:
    decision = out(HIGH, LOW)
    assert (decision["outcome"], decision["flags"]) == (NO, ["duplicate_version"])
    assert out(LOW, HIGH)["outcome"] == YES


def test_the_same_resource_twice_does_not_matter() -> None:
    once, twice = out(HIGH), out(HIGH, HIGH)
    assert once == twice


def test_two_versions_of_a_patient_are_one_patient() -> None:
    dead = updated(patient(deceasedBoolean=True), "2026-11-12T10:00:00Z")
    alive = updated(patient(), "2026-11-11T10:00:00Z")
    for lines in ([dead, alive], [alive, dead]):
        assert "GX-01" in decide([*lines, diabetes(), HIGH])["A1C-OUT"]["reasons"]


def test_the_order_of_lines_does_not_matter() -> None:
    stay = encounter("e1", "IMP", "2026-11-17T09:00-05:00", "2026-11-20T14:00-05:00", disposition="home")
    world = [*DM, HIGH, a1c(6.0, "2026-09-01", id="b"), condition("I10"), stay]
    wanted = decide(world)
    for seed in range(3):
        shuffled = world.copy()
        random.Random(seed).shuffle(shuffled)
        assert decide(shuffled) == wanted


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Asia/Kolkata", "UTC", "Pacific/Honolulu"])
def test_a_zone_never_moves_a_date_without_a_time(zone: str) -> None:
    world = [*DM, a1c(6.5, "2026-10-10"), condition("I10", onsetDateTime="2026-01-01")]
    overdue = decide(world, timezone=zone)["A1C-OVERDUE"]
    assert overdue["facts"]["last_test"] == "2026-10-10"


def test_the_day_of_an_instant_is_the_practices_day() -> None:
    at = a1c(6.5, "2026-10-10T11:00:00Z")
    days = {
        zone: decide([*DM, at], timezone=zone)["A1C-OVERDUE"]["facts"]["last_test"]
        for zone in ("UTC", "Pacific/Auckland")
    }
    assert days == {"UTC": "2026-10-10", "Pacific/Auckland": "2026-10-11"}


def test_twelve_months_before_the_end_of_february_are_clipped() -> None:
    anemia = condition("D50.9", onsetDateTime="2027-02-28", recordedDate=None)
    world = [patient(), condition("I10"), anemia]
    assert decide(world, as_of="2028-02-27T12:00-05:00")["CHR-MULTI"]["outcome"] == NO
    assert decide(world, as_of="2028-02-28T12:00-05:00")["CHR-MULTI"]["outcome"] == YES
    leap = [patient(), condition("I10"), condition("D50.9", onsetDateTime="2028-02-29", recordedDate=None)]
    assert decide(leap, as_of="2029-02-28T12:00-05:00")["CHR-MULTI"]["outcome"] == NO
    assert decide(leap, as_of="2029-03-01T12:00-05:00")["CHR-MULTI"]["outcome"] == YES


def test_365_days_are_counted_on_the_local_calendar() -> None:
    world = [*DM, a1c(8.0, "2025-11-22T23:50:00-05:00")]
    assert decide(world, as_of="2026-11-23T04:50:00Z")["A1C-OUT"]["outcome"] == YES
    assert decide(world, as_of="2026-11-23T05:10:00Z")["A1C-OUT"]["outcome"] != YES


def about(resource: Json, reference: str) -> Json:
    return resource | {"subject": {"reference": reference}}


def test_a_reference_to_a_version_is_a_reference_to_the_resource() -> None:
    assert out(about(HIGH, "Patient/p1/_history/7"))["outcome"] == YES


def test_absolute_references_under_the_one_base_that_occurs_are_local() -> None:
    base = "https://emr.example.org/fhir/"
    world = [patient(), about(diabetes(), f"{base}Patient/p1"), about(HIGH, f"{base}Patient/p1/_history/2")]
    assert decide(world)["A1C-OUT"]["outcome"] == YES


def test_relative_and_absolute_references_mix() -> None:
    assert out(about(HIGH, "https://emr.example.org/fhir/r4/Patient/p1"))["outcome"] == YES


def test_a_condition_finds_its_stay_through_an_absolute_and_versioned_reference() -> None:
    stay = encounter("s", "IMP", "2026-09-03T10:00-04:00", "2026-09-05T10:00-04:00", disposition="home")
    at = {"reference": "https://emr.example.org/fhir/Encounter/s/_history/1"}
    copd = about(diagnosis("J44.9", "2026-09-03", "copd"), "https://emr.example.org/fhir/Patient/p1")
    world = [patient(), condition("I10"), stay, copd | {"encounter": at}]
    assert decide(world)["CHR-MULTI"]["facts"]["groups"] == ["copd", "hypertension"]


def test_ids_of_128_characters_are_read() -> None:
    long = "e" * 120 + ".Ab-12_x"
    assert len(long) == 128
    world = [
        patient(long),
        about(diabetes(), f"Patient/{long}"),
        about(a1c(8.8, id="o" * 128), f"Patient/{long}"),
    ]
    assert decide(world, patient=long)["A1C-OUT"]["outcome"] == YES


def test_facts_of_a_patient_who_is_not_there_make_no_decision_and_are_reported() -> None:
    answer = evaluate([*DM, HIGH, about(a1c(9.9, id="lost"), "Patient/nobody")])
    assert set(answer.patients) == {"p1"}
    assert answer.said.strip()


def replaced(id: str, by: str, **more: Any) -> Json:
    return patient(id, link=[{"type": "replaced-by", "other": {"reference": f"Patient/{by}"}}], **more)


def filed(resource: Json, who: str) -> Json:
    return about(resource, f"Patient/{who}")


def test_a_merged_patients_facts_join_the_survivors() -> None:
    world = [
        replaced("old", "new", active=False),
        patient("new"),
        filed(diabetes(), "new"),
        filed(HIGH, "old"),
    ]
    assert decide(world, patient="new")["A1C-OUT"]["outcome"] == YES


def test_a_chain_of_merges_ends_at_the_last_survivor() -> None:
    world = [replaced("a", "b"), replaced("b", "c"), patient("c"), filed(diabetes(), "a"), filed(HIGH, "b")]
    answer = evaluate(world).patients
    assert answer["c"]["A1C-OUT"]["outcome"] == YES
    assert "GX-01" in answer["a"]["A1C-OUT"]["reasons"]
    assert "GX-01" in answer["b"]["A1C-OUT"]["reasons"]


def test_the_survivors_own_claim_moves_nothing() -> None:
    claims = patient("new", link=[{"type": "replaces", "other": {"reference": "Patient/old"}}])
    answer = evaluate([claims, patient("old"), filed(diabetes(), "old"), filed(HIGH, "old")]).patients
    assert answer["old"]["A1C-OUT"]["outcome"] == YES
    assert "no_diabetes" in answer["new"]["A1C-OUT"]["reasons"]


def test_a_link_that_only_refers_moves_nothing() -> None:
    sees = patient("old", link=[{"type": "seealso", "other": {"reference": "Patient/new"}}])
    answer = evaluate([sees, patient("new"), filed(diabetes(), "old"), filed(HIGH, "old")]).patients
    assert answer["old"]["A1C-OUT"]["outcome"] == YES


def test_the_age_and_life_of_a_merged_patient_are_the_survivors() -> None:
    world = [replaced("old", "new", birthDate="2015-01-01", deceasedBoolean=True), patient("new")]
    both = [filed(diabetes(), "old"), filed(HIGH, "old")]
    assert decide([*world, *both], patient="new")["A1C-OUT"]["outcome"] == YES


def test_two_who_replace_each_other_do_not_stop_the_run() -> None:
    answer = evaluate([replaced("a", "b"), replaced("b", "a"), *DM, HIGH])
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == YES


def test_replaced_by_somebody_who_is_not_there_is_stopped_all_the_same() -> None:
    world = [replaced("p1", "elsewhere"), diabetes(), HIGH]
    answer = evaluate(world)
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == NO
    assert "GX-01" in answer.patients["p1"]["A1C-OUT"]["reasons"]


@pytest.mark.parametrize(
    "other",
    [{"identifier": {"system": "urn:x", "value": "1"}}, {"display": "Somebody"}, None],
    ids=["identifier", "display", "none"],
)
def test_replaced_by_nobody_who_is_named_is_stopped_all_the_same(other: Json | None) -> None:
    nameless = patient(link=[{"type": "replaced-by"} | ({"other": other} if other else {})])
    decisions = decide([nameless, diabetes(), HIGH])
    assert {tuple(each["reasons"]) for each in decisions.values()} == {("GX-01", "merged_into_survivor")}


def test_who_name_nobody_are_not_taken_for_one_person() -> None:
    nameless = [{"type": "replaced-by"}]
    world = [replaced("a", "b"), patient("b", link=nameless), patient("c", link=nameless), *DM]
    answer = evaluate([*world, filed(HIGH, "c"), filed(condition("E11.9", "dm-a"), "a")]).patients
    for who in "abc":
        assert "merged_into_survivor" in answer[who]["A1C-OUT"]["reasons"]
    assert answer["b"]["A1C-OUT"]["facts"] == {"threshold": 7.0}, "what was filed under a, and no result of c"
    assert "GX-01" not in answer["p1"]["A1C-OUT"]["reasons"]


@pytest.mark.parametrize(
    "versions",
    [
        [patient(deceasedBoolean=True), patient(deceasedBoolean=False)],
        [patient(birthDate="1950-01-01"), patient()],
    ],
    ids=["deceased", "birth"],
)
def test_two_versions_of_a_patient_without_anything_to_order_them_are_flagged_on_every_rule(
    versions: list[Json],
) -> None:
    decisions = decide([*versions, diabetes(), HIGH])
    assert decisions["A1C-OUT"]["outcome"] == YES
    assert all("duplicate_version" in each["flags"] for each in decisions.values())


def test_two_versions_of_a_consent_are_flagged_where_it_may_stop_something() -> None:
    decisions = decide([*DM, HIGH, consent("deny", "2026-10-01"), consent("permit", "2026-10-01")])
    assert (decisions["A1C-OUT"]["outcome"], decisions["A1C-OUT"]["flags"]) == (YES, ["duplicate_version"])
    assert decisions["DIS-TCM"]["flags"] == []


def test_a_survivor_who_is_not_there_is_reported() -> None:
    answer = evaluate([replaced("a", "b"), replaced("b", "elsewhere"), *DM, HIGH])
    assert "facts of 2 replaced patients of whose survivor there is no Patient resource" in answer.said
    assert "replaced" not in evaluate([replaced("a", "b"), patient("b")]).said


def test_a_survivor_is_found_through_an_absolute_reference_though_all_others_are_relative() -> None:
    link = {"type": "replaced-by", "other": {"reference": "https://emr.example.org/fhir/Patient/new"}}
    world = [patient("old", link=[link]), patient("new"), filed(diabetes(), "old"), filed(HIGH, "old")]
    answer = evaluate(world)
    assert (answer.code, answer.said) == (0, "")
    assert answer.patients["new"]["A1C-OUT"]["outcome"] == YES
    assert "GX-01" in answer.patients["old"]["A1C-OUT"]["reasons"]


def test_an_encounter_is_found_through_an_absolute_reference_though_all_subjects_are_relative() -> None:
    stay = encounter("s", "IMP", "2026-09-03T10:00-04:00", "2026-09-05T10:00-04:00", disposition="home")
    at = {"reference": "https://emr.example.org/fhir/Encounter/s/_history/1"}
    world = [patient(), condition("I10"), stay, diagnosis("J44.9", "2026-09-03", "copd") | {"encounter": at}]
    assert decide(world)["CHR-MULTI"]["facts"]["groups"] == ["copd", "hypertension"]


def test_every_decision_says_what_it_rests_on() -> None:
    decision = out(updated(HIGH, "2026-11-12T10:00:00Z", "4"))
    item = next(e for e in decision["evidence"] if e["type"] == "Observation")
    assert (item["id"], item["version"], item["value"], item["unit"], item["date"]) == (
        "a1c",
        "4",
        "9.4",
        "%",
        "2026-11-10",
    )
    assert decision["rule_version"]
    assert decision["as_of"]
    assert item["path"].startswith("Observation.")


def test_numbers_stay_decimals() -> None:
    text = json.dumps(a1c(7.0)).replace('"value": 7.0', '"value": 7.10')
    answer = evaluate(DM, raw_lines={"Observation.ndjson": [text]}).patients["p1"]["A1C-OUT"]
    assert answer["facts"]["value"] == 7.1
    assert answer["outcome"] == YES


def test_a_value_as_precise_as_can_be_is_compared_as_it_is() -> None:
    text = json.dumps(a1c(7.0)).replace('"value": 7.0', '"value": 7.000000000000000001')
    answer = evaluate(DM, raw_lines={"Observation.ndjson": [text]}).patients["p1"]["A1C-OUT"]
    assert answer["outcome"] == YES


def test_a_bundle_is_read_as_its_entries() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [
            {"fullUrl": f"https://emr.example.org/fhir/{r['resourceType']}/{r['id']}", "resource": r}
            for r in [*DM, HIGH]
        ],
    }
    answer = evaluate([], raw_lines={"bundle.json": [json.dumps(bundle)]})
    assert answer.patients["p1"]["A1C-OUT"]["outcome"] == YES


def test_unknown_elements_extensions_and_other_types_do_not_matter() -> None:
    odd = a1c(9.4, extension=[{"url": "urn:x", "valueString": "y"}], _issued={"id": "z"}, zzz={"a": [1]})
    claim = {"resourceType": "Claim", "id": "c", "patient": {"reference": "Patient/p1"}}
    assert out(odd, claim)["outcome"] == YES


def test_a_unicode_file_is_read() -> None:
    assert out(a1c(9.4, note=[{"text": "Prélevé à jeun – ≥ 8 h ✓ 血"}]))["outcome"] == YES


def test_loinc_is_matched_by_its_system_alone() -> None:
    assert LOINC == "http://loinc.org"
    other = a1c(9.4) | {"code": {"coding": [{"code": "4548-4"}]}}
    assert out(other)["outcome"] != YES
