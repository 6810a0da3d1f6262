"""What a gate shows for itself: one input for each ground, and the flags of all that it looked at
(rules.md 0.3, 0.8)."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.rules.decision import Decision, Evidence
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.facts import AnyFact, PatientFact
from cm_service.rules.gates import assess
from tests.rules.builders import (
    ADMISSION,
    AS_OF,
    DISPOSITION,
    FULL_CARE,
    HOSPICE_CARE,
    SNOMED,
    ZONE,
    at,
    concept,
    condition,
    consent,
    encounter,
    observation,
    order,
    patient,
    procedure,
    view,
)

LEFT = "Encounter.hospitalization.dischargeDisposition"
DUPLICATE = ("duplicate_version",)


def shown(gate: str, *facts: AnyFact, **changes: Any) -> tuple[Evidence, ...]:
    return assess(view(*facts, **changes), at()).evidence.get(gate, ())


def decisions(*facts: AnyFact, **changes: Any) -> list[Decision]:
    return evaluate_patient(view(*facts, **changes), as_of=AS_OF, zone=ZONE)


def said(path: str, raw: str, **more: str) -> Evidence:
    kind = path.partition(".")[0]
    usual = {"id": "p"} if kind == "Patient" else {}
    return Evidence(type=kind, path=path, raw=raw, **{**usual, **more})


def stay(left: str, **changes: Any) -> AnyFact:
    usual = {"id": "stay", "start": "2026-11-10", "end": "2026-11-18", "disposition": left}
    return encounter("IMP", **{**usual, **changes})


def test_nobody_is_shown_for_a_patient_whom_no_gate_stops():
    assert assess(view(), at()).evidence == {}
    ended = encounter("HH", type=ADMISSION, disposition="home", start="2026-10-01", end="2026-10-20")
    assert shown("GX-02", ended) == ()


@pytest.mark.parametrize(
    ("changes", "path", "raw", "date"),
    [
        ({"active": False}, "Patient.active", "false", ""),
        ({"deceased": True}, "Patient.deceased[x]", "true", ""),
        ({"deceased_at": "2026-11"}, "Patient.deceased[x]", "2026-11", "2026-11"),
        ({"replaced_by": "q"}, "Patient.link", "Patient/q", ""),
        ({"replaced_by": "https://x.example/Patient/q"}, "Patient.link", "https://x.example/Patient/q", ""),
        ({"replaced_by": "urn:uuid:1"}, "Patient.link", "urn:uuid:1", ""),
        ({"replaced_by": "#q"}, "Patient.link", "#q", ""),
        ({"replaced_by": ""}, "Patient.link", "", ""),
    ],
)
def test_the_element_that_says_so_is_shown(changes: dict[str, Any], path: str, raw: str, date: str):
    assert shown("GX-01", person=patient(**changes)) == (said(path, raw, date=date),)


def test_a_death_in_a_stay_is_shown_by_the_stay():
    line = said(LEFT, f"{DISPOSITION}|exp", id="stay", value="expired", date="2026-11-18")
    assert shown("GX-01", stay("exp")) == shown("GX-01", stay("exp"), stay("exp")) == (line,)


def test_each_ground_is_shown():
    gone = patient(active=False, deceased_at="2026-11-18", replaced_by="q")
    paths = [each.path for each in shown("GX-01", stay("exp"), person=gone)]
    assert paths == ["Patient.link", "Patient.active", "Patient.deceased[x]", LEFT]


def test_the_date_of_birth_is_shown_for_a_child():
    line = said("Patient.birthDate", "2015-01-01", date="2015-01-01")
    assert shown("GX-04", person=patient(birth="2015-01-01")) == (line,)


@pytest.mark.parametrize(
    ("sign", "path", "code"),
    [
        (encounter("HH", type=ADMISSION, status="in-progress"), "Encounter.type", ADMISSION),
        (order(HOSPICE_CARE), "ServiceRequest.code", HOSPICE_CARE),
        (procedure(HOSPICE_CARE), "Procedure.code", HOSPICE_CARE),
        (condition(FULL_CARE), "Condition.code", FULL_CARE),
        (observation(FULL_CARE), "Observation.code", FULL_CARE),
    ],
)
def test_a_sign_of_hospice_is_shown_with_its_code(sign: AnyFact, path: str, code: str):
    line = said(path, f"{SNOMED}|{code}", id=sign.id, value="hospice")
    assert shown("GX-02", sign) == (line,)


def test_a_discharge_to_hospice_is_shown_by_its_disposition():
    line = said(LEFT, f"{DISPOSITION}|hosp", id="stay", value="hospice", date="2026-11-18")
    assert shown("GX-02", stay("hosp")) == (line,)


def test_an_encounter_that_says_hospice_twice_is_shown_twice_in_a_set_order():
    paths = [each.path for each in shown("GX-02", stay("hosp", type=ADMISSION))]
    assert paths == [LEFT, "Encounter.type"]


# Flags


def flagged(*facts: AnyFact, **changes: Any) -> set[str]:
    return {line.rule for line in decisions(*facts, **changes) if "duplicate_version" in line.flags}


@pytest.mark.parametrize("changes", [{}, {"deceased": True}, {"birth": None}, {"birth": "2015-01-01"}])
def test_the_flags_of_the_patient_are_on_every_rule(changes: dict[str, Any]):
    person: PatientFact = patient(flags=DUPLICATE, **changes)
    assert len(flagged(person=person)) == len(decisions())


def test_the_flags_of_a_stay_that_ended_with_death_are_on_every_rule():
    assert len(flagged(stay("exp", flags=DUPLICATE))) == len(decisions())


@pytest.mark.parametrize("provision", ["deny", "permit"])
def test_the_flags_of_a_consent_are_on_what_it_may_stop(provision: str):
    offers = {"A1C-OUT", "A1C-OVERDUE", "CHR-MULTI", "ED-OVERUSE"}
    assert flagged(consent(date="2026-11-01", provision=provision, flags=DUPLICATE)) == offers


def test_a_refusal_that_was_lifted_still_tells_its_flags():
    lifted = consent(date="2026-10-01", flags=DUPLICATE)
    assert "CHR-MULTI" in flagged(lifted, consent(id="yes", date="2026-10-02", provision="permit"))


@pytest.mark.parametrize(
    "silent", [{"date": "2026-05-01"}, {"status": "inactive"}, {"categories": (concept("57016-8"),)}]
)
def test_a_consent_that_says_nothing_or_too_long_ago_tells_no_flags(silent: dict[str, Any]):
    assert flagged(consent(**{"date": "2026-11-01", "flags": DUPLICATE, **silent})) == set()


def test_a_permission_without_a_full_date_is_flagged():
    def flags(date: str | None) -> tuple[str, ...]:
        return assess(view(consent(provision="permit", date=date)), at()).flags.get("GX-03", ())

    assert (flags("2026-11"), flags(None), flags("2026-11-01")) == (("partial_date",), ("undated",), ())
