"""GX-01 to GX-04: who is left alone, and for how long (rules.md 0.7, 0.11)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from cm_service.rules.decision import Outcome
from cm_service.rules.engine import evaluate_patient
from cm_service.rules.facts import AnyFact, PatientFact
from cm_service.rules.gates import Gates, assess
from cm_service.rules.programs import chr_multi
from cm_service.rules.view import Decline
from tests.rules.builders import (
    ADMISSION,
    AS_OF,
    FULL_CARE,
    HOSPICE_CARE,
    ZONE,
    at,
    coding,
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


def gates(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> Gates:
    return assess(view(*facts, **changes), at(as_of))


def stops(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> list[str]:
    return list(gates(*facts, as_of=as_of, **changes).stops)


def person(**changes: Any) -> dict[str, PatientFact]:
    return {"person": patient(**changes)}


def test_a_living_adult_of_this_practice_passes_all_gates():
    assert gates() == Gates({}, {}, gates().evidence, {}, False, True)


# GX-01


@pytest.mark.parametrize("changes", [{"deceased": True}, {"active": False}])
def test_the_dead_and_the_inactive_are_stopped(changes: dict[str, Any]):
    assert gates(**person(**changes)).stops == {"GX-01": ("GX-01",)}


@pytest.mark.parametrize("changes", [{"deceased": False}, {"active": None}, {"active": True}])
def test_the_living_are_not(changes: dict[str, Any]):
    assert stops(**person(**changes)) == []


def test_a_merged_patient_is_stopped_in_favour_of_the_survivor():
    assert gates(**person(replaced_by="q")).stops == {"GX-01": ("GX-01", "merged_into_survivor")}


@pytest.mark.parametrize(
    "died", ["2026-11-22", "2026-11-22T15:00:00-05:00", "2020-01-01", "2026-11", "2026", "2025-02"]
)
def test_a_date_of_death_that_is_not_wholly_ahead_is_a_death(died: str):
    answer = gates(**person(deceased_at=died))
    assert list(answer.stops) == ["GX-01"] and not answer.deceased_conflict


@pytest.mark.parametrize("died", ["2026-11-23", "2026-11-22T15:00:01-05:00", "2026-12", "2027"])
def test_a_date_of_death_ahead_is_a_conflict_and_no_stop(died: str):
    answer = gates(**person(deceased_at=died))
    assert not answer.stops and answer.deceased_conflict and "deceased_conflict" in answer.flags["GX-01"]


def test_a_partial_date_of_death_is_flagged():
    assert gates(**person(deceased_at="2026-11")).flags["GX-01"] == ("partial_date",)


def stay(left: str, **changes: Any) -> AnyFact:
    dates = {"start": "2026-11-10T08:00:00-05:00", "end": "2026-11-18T10:00:00-05:00"}
    return encounter("IMP", **{"id": "stay", "disposition": left, **dates, **changes})


def test_a_stay_that_ended_with_death_is_a_death():
    assert stops(stay("exp")) == ["GX-01"]


def test_a_death_that_later_visits_deny_is_not_believed():
    assert stops(stay("exp"), encounter("AMB", start="2026-11-20T09:00:00-05:00")) == []


# GX-04


@pytest.mark.parametrize(("born", "adult"), [("2008-11-22", True), ("2008-11-23", False)])
def test_the_age_floor_is_reached_on_the_birthday(born: str, adult: bool):
    answer = gates(**person(birth=born))
    assert answer.adult is adult and list(answer.stops) == ([] if adult else ["GX-04"])


def test_the_age_floor_is_a_parameter():
    assert stops(**person(birth="2006-01-01"), gx_min_age=21) == ["GX-04"]


@pytest.mark.parametrize("born", [None, "2008"])
def test_an_age_that_is_not_known_is_unknown_and_no_stop(born: str | None):
    answer = gates(**person(birth=born))
    assert answer.adult is None and not answer.stops


@pytest.mark.parametrize(("born", "adult"), [("2007", True), ("2009", False)])
def test_a_year_of_birth_decides_where_all_of_it_lies_on_one_side(born: str, adult: bool):
    answer = gates(**person(birth=born))
    assert answer.adult is adult and answer.flags["GX-04"] == ("partial_date",)


def test_the_age_is_that_of_the_local_day():
    evening = at("2026-11-22T23:30")
    assert evening.as_of.date() == dt.date(2026, 11, 23)
    assert assess(view(person=patient(birth="2008-11-23")), evening).adult is False


def test_with_pediatric_discharge_the_chronic_count_and_the_discharge_rules_stay_on():
    child = person(birth="2015-01-01")
    spared = gates(**child, gx_pediatric_discharge=True).spared["GX-04"]
    assert spared == {"CHR-MULTI", "DIS-TCM", "DIS-AMA", "DIS-SNF", "DIS-READMIT"}
    assert gates(**child).spared == {}


# GX-02: signs


def hospice_visit(**changes: Any) -> AnyFact:
    dates = {"start": "2026-10-01T08:00:00-04:00", "end": "2026-10-20T10:00:00-04:00"}
    return encounter("HH", **{"id": "hospice", "type": ADMISSION, "disposition": "hosp", **dates, **changes})


@pytest.mark.parametrize(
    "sign",
    [
        hospice_visit(),
        hospice_visit(status="in-progress", end=None, disposition=None),
        hospice_visit(status="arrived", end=None, disposition=None),
        stay("hosp"),
        order(HOSPICE_CARE, authored="2026-10-01"),
        order(HOSPICE_CARE, authored="2026-10-01", status="completed"),
        order(HOSPICE_CARE, occurrence="2026-10-01", intent="filler-order"),
        procedure(HOSPICE_CARE, start="2026-10-01"),
        procedure(HOSPICE_CARE, start="2025-01-01", status="in-progress"),
        condition(FULL_CARE, onset="2026-10-01"),
        condition("305911006", recorded="2026-10-01", clinical=""),
        observation("45755-6", effective="2026-10-01", value=concept("373066001")),
        observation(FULL_CARE, effective="2026-10-01"),
    ],
    ids=lambda fact: f"{type(fact).__name__}-{fact.status if hasattr(fact, 'status') else ''}",
)
def test_each_of_these_is_a_sign_of_hospice(sign: AnyFact):
    answer = gates(sign)
    assert answer.stops == {"GX-02": ("GX-02",)} and answer.evidence["GX-02"][0].id == sign.id


@pytest.mark.parametrize(
    "no_sign",
    [
        hospice_visit(status="planned", disposition=None),
        hospice_visit(status="cancelled", disposition=None),
        stay("home"),
        stay("hosp", status="in-progress", end=None),
        order(HOSPICE_CARE, authored="2026-10-01", status="draft"),
        order(HOSPICE_CARE, authored="2026-10-01", status="on-hold"),
        order(HOSPICE_CARE, authored="2026-10-01", intent="proposal"),
        order("73761001", authored="2026-10-01"),
        procedure(HOSPICE_CARE, start="2026-10-01", status="not-done"),
        procedure(HOSPICE_CARE, start="2026-10-01", status="preparation"),
        condition(FULL_CARE, onset="2026-10-01", clinical="resolved"),
        condition(FULL_CARE, onset="2026-10-01", abatement="2026-11-01"),
        condition(FULL_CARE, onset="2026-10-01", verification="refuted"),
        condition(FULL_CARE, onset="2026-10-01", verification="provisional"),
        observation("45755-6", effective="2026-10-01", value=concept("373067005")),
        observation("45755-6", effective="2026-10-01"),
        observation("45755-6", effective="2026-10-01", value=concept("373066001"), status="entered-in-error"),
        observation(FULL_CARE, effective="2026-10-01", value=concept("373067005")),
        observation("71802-3", effective="2026-10-01", value=concept("373066001")),
    ],
)
def test_none_of_these_is(no_sign: AnyFact):
    assert stops(no_sign) == []


@pytest.mark.parametrize(("day", "stopped"), [("2025-11-22", True), ("2025-11-21", False)])
def test_a_sign_counts_for_365_days(day: str, stopped: bool):
    assert stops(condition(FULL_CARE, onset=day)) == (["GX-02"] if stopped else [])
    assert stops(order(HOSPICE_CARE, authored=day)) == (["GX-02"] if stopped else [])


def test_the_days_are_a_parameter():
    sign = order(HOSPICE_CARE, authored="2026-10-01")
    assert stops(sign, gx_hospice_days=52) == ["GX-02"]
    assert stops(sign, gx_hospice_days=51) == []


def test_an_encounter_counts_from_its_end_and_while_it_goes_on():
    long_ago = {"start": "2024-01-01", "end": "2025-11-22"}
    assert stops(hospice_visit(**long_ago)) == ["GX-02"]
    assert stops(hospice_visit(**{**long_ago, "end": "2025-11-21"})) == []
    going_on = hospice_visit(start="2024-01-01", end=None, status="in-progress", disposition=None)
    assert stops(going_on) == ["GX-02"]


def test_an_end_in_the_past_ends_an_encounter_that_still_says_in_progress():
    sign = {"start": "2024-01-01", "status": "in-progress", "disposition": None}
    assert stops(hospice_visit(**sign, end="2025-11-22")) == ["GX-02"]
    assert stops(hospice_visit(**sign, end="2025-11-21")) == []


def test_an_expected_end_is_read_as_absent():
    sign = hospice_visit(status="in-progress", end="2026-12-24", start="2024-01-01", disposition=None)
    assert stops(sign) == ["GX-02"]


def test_a_sign_dated_more_than_24_hours_ahead_is_ignored():
    answer = gates(order(HOSPICE_CARE, authored="2026-11-24"))
    assert not answer.stops and answer.flags["GX-02"] == ("future_date",)


def test_a_vague_or_missing_date_stops_with_a_flag():
    vague, none = gates(order(HOSPICE_CARE, authored="2025")), gates(order(HOSPICE_CARE))
    assert list(vague.stops) == ["GX-02"] and vague.flags["GX-02"] == ("partial_date",)
    assert list(none.stops) == ["GX-02"] and none.flags["GX-02"] == ("undated",)
    assert stops(order(HOSPICE_CARE, authored="2024")) == []


# GX-02: what ends it


@pytest.mark.parametrize("left", ["home", "aadvice", "oth", None])
def test_a_finished_hospice_encounter_with_any_other_disposition_ends_hospice(left: str | None):
    sign = condition(FULL_CARE, onset="2026-09-01")
    assert stops(sign, hospice_visit(disposition=left)) == []


@pytest.mark.parametrize("left", ["exp", "hosp", "other-hcf", "rehab", "snf"])
def test_death_hospice_and_transfer_do_not_end_it(left: str):
    answer = stops(hospice_visit(disposition=left))
    assert "GX-02" in answer


def test_a_hospice_encounter_that_goes_on_ends_nothing():
    assert stops(hospice_visit(disposition=None, end=None, status="in-progress")) == ["GX-02"]


@pytest.mark.parametrize(
    ("begin", "stopped"),
    [
        ("2026-10-19", False),
        ("2026-10-20T09:59:00-04:00", False),
        ("2026-10-20T10:01:00-04:00", True),
        ("2026-10-21", True),
    ],
)
def test_hospice_goes_on_if_a_sign_begins_after_the_end(begin: str, stopped: bool):
    ended = hospice_visit(disposition="home")
    assert stops(ended, order(HOSPICE_CARE, authored=begin)) == (["GX-02"] if stopped else [])
    assert stops(ended, condition(FULL_CARE, onset=begin)) == (["GX-02"] if stopped else [])


def test_a_sign_without_a_date_cannot_be_said_to_lie_before_the_end():
    assert stops(hospice_visit(disposition="home"), condition(FULL_CARE)) == ["GX-02"]


def test_the_second_hospice_encounter_speaks():
    first = hospice_visit(disposition="home")
    second = {"id": "second", "start": "2026-11-01", "end": "2026-11-10"}
    assert stops(first, hospice_visit(**second)) == ["GX-02"]
    assert stops(first, hospice_visit(**second, disposition="home")) == []


def test_another_hospice_encounter_that_goes_on_keeps_it():
    respite = hospice_visit(disposition="home")
    at_home = hospice_visit(id="home", start="2026-06-01", end=None, status="in-progress", disposition=None)
    assert stops(respite, at_home) == ["GX-02"]


@pytest.mark.parametrize("status", ["revoked", "cancelled", "entered-in-error"])
def test_an_order_taken_back_ends_hospice_only_if_no_other_sign_is_newer(status: str):
    back = order(HOSPICE_CARE, id="back", authored="2026-10-10", status=status)
    assert stops(back) == []
    assert stops(back, condition(FULL_CARE, onset="2026-10-09")) == []
    assert stops(back, condition(FULL_CARE, onset="2026-10-10")) == []
    assert stops(back, condition(FULL_CARE, onset="2026-10-11")) == ["GX-02"]


def test_an_undated_order_taken_back_ends_nothing():
    back = order(HOSPICE_CARE, id="back", status="revoked")
    assert stops(back, condition(FULL_CARE, onset="2026-10-09")) == ["GX-02"]


def test_an_ordinary_discharge_home_ends_nothing():
    assert stops(stay("home"), condition(FULL_CARE, onset="2026-10-09")) == ["GX-02"]


@pytest.mark.parametrize("kind", ["Encounter", "ServiceRequest", "Procedure", "Condition", "Observation"])
def test_hospice_inputs_that_the_emr_refuses_stop_nothing_and_are_named(kind: str):
    answer = gates(refused=frozenset({kind}))
    assert not answer.stops and answer.flags == {"GX-02": ("gate_unread",)}


# GX-03


@pytest.mark.parametrize(("seconds", "stopped"), [(1, True), (0, False)])
def test_our_own_record_of_a_decline_stops_until_its_instant(seconds: int, stopped: bool):
    decline = Decline("d", AS_OF + dt.timedelta(seconds=seconds))
    answer = gates(declines=(decline,))
    assert list(answer.stops) == (["GX-03"] if stopped else [])


@pytest.mark.parametrize(("day", "stopped"), [("2026-05-26", True), ("2026-05-25", False)])
def test_a_consent_that_denies_stops_for_180_days(day: str, stopped: bool):
    answer = gates(consent(date=day))
    assert list(answer.stops) == (["GX-03"] if stopped else [])


def test_the_days_of_peace_are_a_parameter():
    assert stops(consent(date="2026-11-01"), gx_decline_cooloff_days=20) == []
    assert stops(consent(date="2026-11-02"), gx_decline_cooloff_days=20) == ["GX-03"]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "inactive"},
        {"status": "entered-in-error"},
        {"status": "draft"},
        {"provision": "permit"},
        {"provision": ""},
        {"categories": (concept("57016-8"),)},
        {"categories": ()},
    ],
)
def test_only_an_active_denial_of_the_category_stops(changes: dict[str, Any]):
    assert stops(consent(date="2026-11-01", **changes)) == []


def test_the_practice_may_name_categories_of_its_own():
    own = consent(date="2026-11-01", categories=(concept(coding("no-calls", "urn:practice")),))
    assert stops(own) == []
    assert stops(own, gx_opt_out_codes=("urn:practice|no-calls",)) == ["GX-03"]


def test_a_newer_consent_of_the_same_category_decides():
    deny = consent(date="2026-10-01")
    assert stops(deny, consent(id="yes", date="2026-10-02", provision="permit")) == []
    assert stops(deny, consent(id="yes", date="2026-09-30", provision="permit")) == ["GX-03"]
    assert stops(deny, consent(id="yes", date="2026-10-01", provision="permit")) == ["GX-03"]


def test_of_dates_that_overlap_the_more_precise_one_is_the_newer():
    permit = {"id": "yes", "provision": "permit"}
    assert stops(consent(date="2026-10"), consent(date="2026-10-15", **permit)) == []
    assert stops(consent(date="2026-10-15"), consent(date="2026-10", **permit)) == ["GX-03"]


def test_a_denial_whose_month_may_lie_in_the_days_of_peace_stops():
    answer = gates(consent(date="2026-05"))
    assert list(answer.stops) == ["GX-03"] and answer.flags["GX-03"] == ("partial_date",)
    assert stops(consent(date="2026-04")) == []


def test_a_consent_of_another_category_decides_nothing():
    own = coding("no-calls", "urn:practice")
    other = consent(id="yes", date="2026-10-02", provision="permit", categories=(concept(own),))
    codes = ("urn:practice|no-calls",)
    assert stops(consent(date="2026-10-01"), other, gx_opt_out_codes=codes) == ["GX-03"]


def test_a_newer_consent_that_is_not_active_decides_nothing():
    mistake = consent(id="yes", date="2026-10-02", provision="permit", status="entered-in-error")
    assert stops(consent(date="2026-10-01"), mistake) == ["GX-03"]


def test_a_denial_without_a_date_stands_now_with_a_flag():
    answer = gates(consent(), consent(id="yes", date="2026-10-02", provision="permit"))
    assert list(answer.stops) == ["GX-03"] and answer.flags["GX-03"] == ("undated",)


def test_a_permission_without_a_date_is_no_answer_to_a_denial():
    assert stops(consent(date="2026-10-01"), consent(id="yes", provision="permit")) == ["GX-03"]


def test_a_consent_dated_more_than_24_hours_ahead_is_ignored():
    answer = gates(consent(date="2026-11-24"))
    assert not answer.stops and answer.flags["GX-03"] == ("future_date",)


def test_consents_that_the_emr_refuses_stop_nothing_and_are_named():
    answer = gates(refused=frozenset({"Consent"}))
    assert not answer.stops and answer.flags == {"GX-03": ("gate_unread",)}


# Through the engine


def decide(*facts: AnyFact, **changes: Any) -> tuple[Outcome, list[str], list[str]]:
    pair = condition("E11.9"), condition("I10")
    (decision,) = evaluate_patient(
        view(*pair, *facts, **changes), as_of=AS_OF, zone=ZONE, rules=[chr_multi.RULE]
    )
    return decision.outcome, decision.reasons, decision.flags


def test_a_stopped_patient_is_not_eligible_with_the_gate_as_reason():
    assert decide(**person(deceased=True)) == (Outcome.NOT_ELIGIBLE, ["GX-01"], [])
    assert decide(stay("hosp"))[:2] == (Outcome.NOT_ELIGIBLE, ["GX-02"])
    assert decide(consent(date="2026-11-01"))[:2] == (Outcome.NOT_ELIGIBLE, ["GX-03"])


def test_gates_are_named_in_their_order():
    everything = stay("hosp"), consent(date="2026-11-01")
    assert decide(*everything, **person(birth="2015-01-01", deceased=True))[1] == ["GX-01"]
    assert decide(*everything, **person(birth="2015-01-01"))[1] == ["GX-04"]
    assert decide(*everything)[1] == ["GX-02"]


def test_a_merged_patient_is_told_where_the_findings_went():
    assert decide(**person(replaced_by="q"))[1] == ["GX-01", "merged_into_survivor"]


def test_a_death_ahead_makes_a_rule_that_would_fire_insufficient_after_the_other_gates():
    ahead = person(deceased_at="2026-12-24")
    assert decide(**ahead)[:2] == (Outcome.INSUFFICIENT_DATA, ["deceased_conflict"])
    assert decide(stay("hosp"), **ahead)[:2] == (Outcome.NOT_ELIGIBLE, ["GX-02"])
    assert decide(**ahead, chr_min_groups=3)[:2] == (Outcome.NOT_ELIGIBLE, ["too_few_groups"])


def test_an_unknown_age_matters_only_where_the_rule_would_fire():
    assert decide(**person(birth=None))[:2] == (Outcome.INSUFFICIENT_DATA, ["age_unknown"])
    assert decide(**person(birth=None), chr_min_groups=3)[:2] == (Outcome.NOT_ELIGIBLE, ["too_few_groups"])


def test_a_child_is_counted_where_the_practice_follows_children():
    child = person(birth="2015-01-01")
    assert decide(**child)[1] == ["GX-04"]
    assert decide(**child, gx_pediatric_discharge=True)[0] is Outcome.ELIGIBLE


def test_a_gate_that_could_not_be_read_is_on_the_decision():
    outcome, _, flags = decide(refused=frozenset({"Consent", "ServiceRequest"}))
    assert outcome is Outcome.ELIGIBLE and flags == ["gate_unread"]
