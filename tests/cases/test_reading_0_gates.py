"""Reading of rules 0.7 and 0.11: who is not to be troubled, by which rule, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cases.fhir_json import (
    LOINC,
    SNOMED,
    a1c,
    concept,
    condition,
    consent,
    diabetes,
    encounter,
    order,
    patient,
    procedure,
)
from tests.cases.harness import CANNOT_TELL, NO, YES, ByRule, decide
from tests.cases.tables import Case, Json, case, check, decide_together

# Somebody on whom A1C-OUT, CHR-MULTI and DIS-TCM fire, and A1C-OVERDUE and ED-FU do not.
WORLD = (
    diabetes(),
    condition("I10"),
    a1c(8.4),
    encounter("stay", "IMP", "2026-11-17T09:00-05:00", "2026-11-20T14:00-05:00", disposition="home"),
)
FIRING = ("A1C-OUT", "CHR-MULTI", "DIS-TCM")
OFFERS = frozenset({"CHR-MULTI", "A1C-OUT", "A1C-OVERDUE", "ED-OVERUSE"})


def stopped(gate: str, *resources: Json, people: Json | None = None, rule: str = "CHR-MULTI") -> Case:
    return case(rule, NO, people or patient(), *WORLD, *resources, reasons=gate)


def free(*resources: Json, people: Json | None = None, rule: str = "CHR-MULTI") -> Case:
    gates = "GX-01 GX-02 GX-03 GX-04"
    return case(rule, YES, people or patient(), *WORLD, *resources, without=gates)


def doubt(word: str, people: Json, *resources: Json, rule: str = "CHR-MULTI") -> Case:
    return case(rule, CANNOT_TELL, people, *WORLD, *resources, reasons=word)


DEATH = {
    "dead": stopped("GX-01", people=patient(deceasedBoolean=True)),
    "said not to be dead": free(people=patient(deceasedBoolean=False)),
    "died before": stopped("GX-01", people=patient(deceasedDateTime="2026-11-20T08:00:00-05:00")),
    "died today, no time given": stopped("GX-01", people=patient(deceasedDateTime="2026-11-22")),
    "died this month": stopped("GX-01", people=patient(deceasedDateTime="2026-11")),
    "died this year": stopped("GX-01", people=patient(deceasedDateTime="2026")),
    "will have died tomorrow": doubt("deceased_conflict", patient(deceasedDateTime="2026-11-23")),
    "will have died within the hour": doubt(
        "deceased_conflict", patient(deceasedDateTime="2026-11-22T15:30:00-05:00")
    ),
    "will have died next year": doubt("deceased_conflict", patient(deceasedDateTime="2027")),
    "a future death does not touch what does not fire": case(
        "A1C-OVERDUE", NO, patient(deceasedDateTime="2027"), *WORLD, reasons="test_recent", without="GX-01"
    ),
    "not active": stopped("GX-01", people=patient(active=False)),
    "active not said": free(people=patient(active=None)),
}

AGE = {
    "eighteen today": free(people=patient(birthDate="2008-11-22")),
    "eighteen tomorrow": stopped("GX-04", people=patient(birthDate="2008-11-23")),
    "a child's discharge is off, too": stopped(
        "GX-04", people=patient(birthDate="2015-05-05"), rule="DIS-TCM"
    ),
    "eighteen this month, the day unknown": doubt("age_unknown", patient(birthDate="2008-11")),
    "eighteen since a month that is over": free(people=patient(birthDate="2008-10")),
    "born in a year that may make eighteen": doubt("age_unknown", patient(birthDate="2008")),
    "born in a year of children": stopped("GX-04", people=patient(birthDate="2009")),
    "no birth date at all": doubt("age_unknown", patient(birthDate=None)),
    "no birth date does not touch what does not fire": case(
        "A1C-OVERDUE", NO, patient(birthDate=None), *WORLD, reasons="test_recent", without="age_unknown"
    ),
}


def hospice(id: str = "hospice", status: str = "in-progress", start: str = "2026-06-01", **more: Any) -> Json:
    end = more.pop("end", None)
    return encounter(id, "HH", start, end, status=status, type=[concept(SNOMED, "305336008")], **more)


def closed(disposition: str | None) -> Json:
    return hospice(status="finished", end="2026-08-01", disposition=disposition)


HOSPICE = {
    "an open hospice encounter": stopped("GX-02", hospice()),
    "a finished hospice encounter that ended at home ended hospice": free(closed("home")),
    "a finished hospice encounter without a disposition ended hospice": free(closed(None)),
    "a finished hospice encounter that ended in another hospice did not": stopped("GX-02", closed("hosp")),
    "a finished hospice encounter that ended in a transfer did not": stopped("GX-02", closed("other-hcf")),
    "a finished hospice encounter that ended in a nursing facility did not": stopped("GX-02", closed("snf")),
    "a new sign after the end is hospice again": stopped(
        "GX-02", closed("home"), order("385763009", "2026-09-01", "again")
    ),
    "a sign before the end is ended with it": free(
        closed("home"), order("385763009", "2026-07-01", "before")
    ),
    "a hospice order": stopped("GX-02", order("385763009", "2026-06-01", "o")),
    "a hospice order of 365 days ago": stopped("GX-02", order("385763009", "2025-11-22", "o")),
    "a hospice order of 366 days ago is too old": free(order("385763009", "2025-11-21", "o")),
    "a revoked hospice order alone is no sign": free(order("385763009", "2026-06-01", "o", status="revoked")),
    "a revoked order ends an older sign": free(
        order("385763009", "2026-05-01", "a"), order("385763009", "2026-08-01", "b", status="revoked")
    ),
    "a revoked order does not end a newer sign": stopped(
        "GX-02",
        order("385763009", "2026-09-01", "a"),
        order("385763009", "2026-08-01", "b", status="revoked"),
    ),
    "a draft order is no sign": free(order("385763009", "2026-06-01", "o", status="draft")),
    "a hospice procedure": stopped("GX-02", procedure("385763009", "2026-06-01", "p")),
    "a hospice procedure that was not done": free(
        procedure("385763009", "2026-06-01", "p", status="not-done")
    ),
    "a hospice finding": stopped("GX-02", condition("170935008", system=SNOMED, recordedDate="2026-06-01")),
    "the data set's answer yes": stopped(
        "GX-02",
        a1c(None, "2026-06-01", id="mds", code="45755-6", valueCodeableConcept=concept(SNOMED, "373066001")),
    ),
    "the data set's answer no": free(
        a1c(None, "2026-06-01", id="mds", code="45755-6", valueCodeableConcept=concept(SNOMED, "373067005"))
    ),
    "a stay that ended in hospice": stopped(
        "GX-02",
        encounter("other", "IMP", "2026-10-01T09:00-04:00", "2026-10-05T14:00-04:00", disposition="hosp"),
    ),
    "hospice stops a discharge": stopped("GX-02", hospice(), rule="DIS-TCM"),
}

CONSENT = {
    "a refusal stops an offer": stopped("GX-03", consent("deny", "2026-10-01")),
    "a refusal does not stop a discharge": free(consent("deny", "2026-10-01"), rule="DIS-TCM"),
    "a refusal stops the outreach for a value": stopped(
        "GX-03", consent("deny", "2026-10-01"), rule="A1C-OUT"
    ),
    "a refusal of 179 days ago still stands": stopped("GX-03", consent("deny", "2026-05-27")),
    "a refusal of 181 days ago has passed": free(consent("deny", "2026-05-25")),
    "a permission stops nothing": free(consent("permit", "2026-10-01")),
    "a newer permission lifts a refusal": free(
        consent("deny", "2026-09-01", "a"), consent("permit", "2026-10-01", "b")
    ),
    "a newer refusal lifts a permission": stopped(
        "GX-03", consent("permit", "2026-09-01", "a"), consent("deny", "2026-10-01", "b")
    ),
    "a refusal of another category does not count": free(
        consent("deny", "2026-10-01", category=[concept(LOINC, "57016-8")])
    ),
    "a refusal entered in error does not count": free(
        consent("deny", "2026-10-01", status="entered-in-error")
    ),
    "a refusal no longer active does not count": free(consent("deny", "2026-10-01", status="inactive")),
    "a refusal without a date counts as of the first sight": stopped("GX-03", consent("deny", None)),
}

ORDER = {
    "death goes before hospice": stopped("GX-01", hospice(), people=patient(deceasedBoolean=True)),
    "hospice goes before a future death": stopped(
        "GX-02", hospice(), people=patient(deceasedDateTime="2027")
    ),
    "a refusal goes before a future death": stopped(
        "GX-03", consent("deny", "2026-10-01"), people=patient(deceasedDateTime="2027")
    ),
    "childhood goes before a future death": stopped(
        "GX-04", people=patient(birthDate="2015-05-05", deceasedDateTime="2027")
    ),
    "hospice goes before an unknown age": stopped("GX-02", hospice(), people=patient(birthDate=None)),
}

TABLE = DEATH | AGE | HOSPICE | CONSENT | ORDER


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_a_gate_stops_whom_it_should(sentence: str, decided: dict[str, ByRule]) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)


def reasons(people: Json, *resources: Json, **options: Any) -> dict[str, tuple[str, set[str]]]:
    decisions = decide([people, *WORLD, *resources], **options)
    return {rule: (d["outcome"], set(d["reasons"])) for rule, d in decisions.items()}


def test_nothing_is_stopped_by_no_gate() -> None:
    outcomes = {rule: outcome for rule, (outcome, _) in reasons(patient()).items()}
    assert {rule for rule, outcome in outcomes.items() if outcome == YES} == set(FIRING)


def test_the_dead_are_stopped_on_every_rule() -> None:
    told = reasons(patient(deceasedBoolean=True))
    assert all(outcome == NO and "GX-01" in words for outcome, words in told.values())


def test_hospice_stops_every_rule() -> None:
    told = reasons(patient(), hospice())
    assert all(outcome == NO and "GX-02" in words for outcome, words in told.values())


def test_a_refusal_stops_offers_and_nothing_else() -> None:
    told = reasons(patient(), consent("deny", "2026-10-01"))
    assert {rule for rule, (_, words) in told.items() if "GX-03" in words} == OFFERS


def test_a_refusal_does_not_stop_the_diabetic_value_without_a_diagnosis() -> None:
    nodx = decide([patient(), a1c(8.4), consent("deny", "2026-10-01")])["A1C-NODX"]
    assert nodx["outcome"] == YES


def test_a_child_is_stopped_on_every_rule() -> None:
    told = reasons(patient(birthDate="2015-05-05"))
    assert all(outcome == NO and "GX-04" in words for outcome, words in told.values())


def test_a_pediatric_practice_keeps_chronic_counts_and_discharges() -> None:
    settings = {"gx.pediatric_discharge": "on"}
    told = reasons(patient(birthDate="2015-05-05"), settings=settings)
    assert told["CHR-MULTI"][0] == told["DIS-TCM"][0] == YES
    assert told["A1C-OUT"] == (NO, {"GX-04"})


def test_the_age_is_taken_on_the_local_date() -> None:
    born = patient(birthDate="2008-11-23")
    assert reasons(born, as_of="2026-11-23T03:00:00Z")["CHR-MULTI"] == (NO, {"GX-04"})
    assert reasons(born, as_of="2026-11-23T06:00:00Z")["CHR-MULTI"][0] == YES


def test_expired_by_disposition_is_not_believed_when_later_results_exist() -> None:
    died = encounter("died", "IMP", "2026-10-01T09:00-04:00", "2026-10-05T14:00-04:00", disposition="exp")
    world = [patient(), diabetes(), condition("I10"), died]
    assert decide(world)["CHR-MULTI"]["reasons"] == ["GX-01"]
    alive = decide([*world, a1c(8.4)])
    assert alive["CHR-MULTI"]["outcome"] == YES
    assert "expired_conflict" in {flag for d in alive.values() for flag in d["flags"]}


def test_a_local_opt_out_code_is_honoured_beside_the_standard_one() -> None:
    own = consent("deny", "2026-10-01", category=[concept("urn:emr", "CM-DECLINE")])
    settings = {"gx.opt_out_codes": "urn:emr|CM-DECLINE"}
    assert reasons(patient(), own, settings=settings)["CHR-MULTI"] == (NO, {"GX-03"})
