"""Healthy, complex, very complex: the bands of the older adult (rules.md 1.7.3)."""

from __future__ import annotations

from typing import Any

import pytest

from cm_service.rules.a1c_threshold import Thresholds, thresholds
from cm_service.rules.facts import AnyFact
from tests.rules.builders import (
    at,
    concept,
    condition,
    diagnosis,
    encounter,
    observation,
    order,
    patient,
    procedure,
    view,
)

ILL, FRAIL, FALL = "I50.9", "R54", "W19.XXXA"
THREE = ("59621000", "195967001", "40930008")  # hypertension, asthma, hypothyroidism
HEALTHY, COMPLEX, VERY = ["7.5"], ["8.0"], ["older_adult_very_complex"]


def ask(*facts: AnyFact, birth: str | None = "1940-01-01", as_of: str = "2026-11-22T15:00") -> Thresholds:
    return thresholds(view(condition("E11.9"), *facts, person=patient(birth=birth)), at(as_of))


def band(*facts: AnyFact, **changes: Any) -> list[str]:
    return [one.reason or str(one.value) for one in ask(*facts, **changes).options]


def home(says: str, code: str = "71802-3", **changes: Any) -> AnyFact:
    return observation(code, **{"effective": "2026-06-01", "value": concept(says), **changes})


def test_a_nursing_home_resident_is_very_complex():
    answer = ask(home("160734000"))
    assert [one.reason for one in answer.options] == VERY
    assert [(e.type, e.value) for e in answer.options[0].evidence] == [
        ("Observation", "nursing_home_residence")
    ]


def test_residence_counts_through_twelve_months():
    assert band(home("160734000", effective="2025-11-22")) == VERY
    assert band(home("160734000", effective="2025-11-21")) == HEALTHY


def test_the_newest_statement_on_residence_decides():
    moved = home("365508006", id="moved", effective="2026-06-02")
    assert band(home("160734000"), moved) == HEALTHY
    assert band(home("160734000", effective="2026-06-03"), moved) == VERY


def test_two_statements_of_one_day_that_disagree_leave_it_open():
    assert band(home("160734000"), home("365508006", id="other")) == [*VERY, *HEALTHY]


@pytest.mark.parametrize(
    "changes",
    [{"status": "entered-in-error"}, {"status": "preliminary"}, {"value": None}, {"code": "71802-4"}],
)
def test_only_a_finished_coded_statement_on_residence_counts(changes: dict[str, Any]):
    assert band(home("160734000", **changes)) == HEALTHY


def test_a_residence_to_come_is_ignored_and_flagged():
    answer = ask(home("160734000", effective="2026-12-01"))
    assert [str(one.value) for one in answer.options] == HEALTHY and "future_date" in answer.flags


def test_an_undated_residence_leaves_it_open():
    assert band(home("160734000", effective=None)) == [*VERY, *HEALTHY]
    assert band(home("160734000", effective=None, issued="2026-06-01T09:00:00Z")) == VERY


def test_below_65_nobody_is_very_complex():
    assert band(home("160734000"), condition("N18.6"), birth="1961-11-23") == ["7.0"]


@pytest.mark.parametrize(
    "fact",
    [
        condition("Z51.5", recorded="2026-02-01"),
        condition("Z51.5", recorded="2026-02-01", clinical="resolved"),
        procedure("103735009", start="2026-02-01"),
        order("103735009", authored="2026-02-01"),
        encounter(type="305686008", start="2026-02-01", end="2026-02-01"),
    ],
)
def test_palliative_care_within_the_year_is_very_complex(fact: AnyFact):
    assert band(fact) == VERY


@pytest.mark.parametrize(
    "fact",
    [
        condition("Z51.5", recorded="2025-11-21"),
        condition("Z51.5", recorded="2026-02-01", verification="refuted"),
        procedure("103735009", start="2025-11-21"),
        procedure("103735009", start="2026-02-01", status="not-done"),
        order("103735009", authored="2026-02-01", status="revoked"),
        order("103735009", authored="2026-02-01", intent="proposal"),
        encounter(type="305686008", start="2026-02-01", status="planned"),
    ],
)
def test_palliative_care_that_is_old_or_did_not_happen_does_not_count(fact: AnyFact):
    assert band(fact) == HEALTHY


def test_end_stage_disease_counts_whatever_its_date():
    for one in (
        condition("N18.6", onset="2010-01-01"),
        condition("N18.5"),
        diagnosis("46177005", onset="2010"),
    ):
        assert band(one) == VERY
    assert band(condition("N18.6", clinical="resolved")) == HEALTHY


def test_a_transplant_after_it_ends_end_stage_disease():
    """What is left is the advanced illness that its code stands for as well."""
    failing = condition("N18.6", onset="2018-01-01")
    assert band(failing, procedure("70536003", start="2020-01-01")) == COMPLEX
    assert band(failing, condition("Z94.0", onset="2020-01-01")) == COMPLEX
    assert band(failing, procedure("70536003", start="2018-01-01")) == COMPLEX
    assert band(failing, procedure("70536003", start="2017-12-31")) == VERY
    assert band(failing, procedure("70536003", start="2020-01-01", status="not-done")) == VERY


def test_an_undated_transplant_may_or_may_not_have_come_after():
    assert band(condition("N18.6", onset="2018-01-01"), procedure("70536003")) == [*VERY, *COMPLEX]


@pytest.mark.parametrize(("code", "left"), [("236436003", COMPLEX), ("714153000", HEALTHY)])
def test_kidney_failure_with_transplant_is_none(code: str, left: list[str]):
    assert band(condition(code, onset="2018-01-01")) == left


def test_a_dialysis_status_counts_through_twelve_months():
    assert band(condition("Z99.2", recorded="2025-11-22")) == VERY
    assert band(condition("Z99.2", recorded="2025-11-21")) == HEALTHY
    assert band(condition("Z99.2", recorded="2026-06-01", clinical="resolved")) == HEALTHY
    assert band(encounter(type="Z49.31", start="2026-06-01")) == VERY


def test_a_transplant_ends_dialysis_too():
    transplant = procedure("70536003", start="2026-07-01")
    assert band(condition("Z99.2", recorded="2026-06-01"), transplant) == HEALTHY
    assert band(condition("Z99.2", recorded="2026-08-01"), transplant) == VERY


def sessions(*days: str, code: str = "302497006") -> list[AnyFact]:
    return [procedure(code, id=day, start=day) for day in days]


def test_two_sessions_thirty_days_apart_are_dialysis_and_fewer_are_not():
    assert band(*sessions("2026-05-01", "2026-05-31")) == VERY
    assert band(*sessions("2026-05-01", "2026-05-15", "2026-05-30")) == HEALTHY
    assert band(*sessions("2026-05-01")) == HEALTHY


def test_the_newest_session_must_lie_within_the_year():
    assert band(*sessions("2025-10-01", "2025-11-22")) == VERY
    assert band(*sessions("2025-10-01", "2025-11-21")) == HEALTHY


def test_catheter_care_is_no_session():
    assert band(*sessions("2026-05-01", "2026-08-01", code="238317004")) == HEALTHY


def test_sessions_before_a_transplant_do_not_count():
    transplant = procedure("70536003", start="2026-06-15")
    assert band(*sessions("2026-05-01", "2026-06-10"), transplant) == HEALTHY
    assert band(*sessions("2026-05-01", "2026-06-20"), transplant) == HEALTHY
    assert band(*sessions("2026-06-20", "2026-08-20"), transplant) == VERY


def test_sessions_of_vague_dates_leave_it_open():
    assert band(*sessions("2026-05", "2026-06-10")) == [*VERY, *HEALTHY]
    assert band(*sessions("2026-04", "2026-06-10")) == VERY


def test_advanced_illness_with_frailty_is_very_complex_from_66_on():
    facts = condition(ILL, onset="2015-01-01"), condition(FRAIL, recorded="2025-01-01")
    assert band(*facts, birth="1960-11-22") == VERY
    assert band(*facts, birth="1960-11-23") == COMPLEX


def test_the_window_of_24_months_binds_the_frailty_code():
    assert band(condition(ILL), condition(FRAIL, recorded="2024-11-22")) == VERY
    assert band(condition(ILL), condition(FRAIL, recorded="2024-11-21")) == COMPLEX


def test_advanced_illness_alone_is_complex_and_must_be_active():
    assert band(condition(ILL, onset="2015-01-01")) == COMPLEX
    assert band(condition(ILL, clinical="resolved"), condition(FRAIL, recorded="2025-01-01")) == HEALTHY


@pytest.mark.parametrize(
    "fact",
    [
        condition(FRAIL, recorded="2025-11-22", clinical="resolved"),
        diagnosis(FALL, onset="2026-01-01", abatement="2026-02-01"),
        procedure("160734000", start="2026-01-01"),
        encounter(type="160734000", start="2026-01-01"),
    ],
)
def test_a_frailty_code_of_the_last_year_is_complex_whatever_its_status(fact: AnyFact):
    assert band(fact) == COMPLEX


def test_an_older_frailty_code_does_not_count_for_ever():
    assert band(condition(FRAIL, recorded="2025-11-21")) == HEALTHY


def test_three_groups_besides_diabetes_are_complex():
    assert band(*map(condition, THREE)) == COMPLEX
    assert band(*map(condition, THREE[:2])) == HEALTHY
    flags = ask(*map(condition, THREE)).options[0].flags
    assert flags == ("older_adult_complex",)


def test_persisting_groups_count_here_and_are_flagged():
    old = [diagnosis(code, onset="2015-01-01", recorded="2015-01-01") for code in THREE]
    answer = ask(*old)
    assert [str(one.value) for one in answer.options] == COMPLEX
    assert "persisting_encounter_diagnosis" in answer.flags


def test_dementia_alone_is_complex():
    assert band(condition("52448006")) == COMPLEX


def test_with_an_unknown_age_every_band_that_could_apply_is_an_option():
    answer = ask(home("160734000"), birth=None)
    assert [one.reason or str(one.value) for one in answer.options] == ["7.0", *VERY]
    assert answer.doubt == "age_unknown"
    ill = ask(condition(ILL), condition(FRAIL, recorded="2025-01-01"), birth="1960")
    assert [one.reason or str(one.value) for one in ill.options] == [*VERY, *COMPLEX]
    assert ill.doubt == "age_unknown"


def test_a_vague_frailty_date_leaves_the_band_open():
    answer = ask(condition(FRAIL, recorded="2025-11"))
    assert [str(one.value) for one in answer.options] == [*COMPLEX, *HEALTHY]
    assert answer.doubt == "complexity_not_assessed" and "complexity_not_assessed" in answer.flags


def test_an_order_for_a_transplant_ends_no_kidney_failure():
    for status in ("active", "completed"):
        waiting = order("70536003", authored="2026-08-14", status=status)
        assert band(condition("N18.6", onset="2018-01-01"), waiting) == VERY


def test_an_order_is_no_sign_of_frailty():
    aide = order("160734000", authored="2026-09-23")
    assert band(condition(ILL), aide) == COMPLEX
    assert band(aide) == HEALTHY
