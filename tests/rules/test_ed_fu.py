"""ED-FU: emergency visit follow-up."""

import pytest

from cm_service.rules.decision import Outcome
from cm_service.rules.programs.ed_fu import RULE
from tests.rules.builders import condition, diagnosis
from tests.rules.stay_helpers import ask, emer, enc, imp, obs, running, snf

ELIGIBLE = (Outcome.ELIGIBLE, [])


def said(finding):
    return finding.outcome, finding.reasons


def no(reason):
    return Outcome.NOT_ELIGIBLE, [reason]


def unsure(reason):
    return Outcome.INSUFFICIENT_DATA, [reason]


VISIT = emer("11-21 08:00", "11-21 10:00", id="ed", identifier="s|ed")


def test_two_follow_up_conditions_make_it_urgent_and_the_dates_count_from_the_end():
    finding = ask(RULE, VISIT, condition("J44.9"), condition("I50.9"), condition("E11.9"))
    assert said(finding) == ELIGIBLE
    assert finding.flags == ["multiple_chronic_conditions"]
    assert finding.facts["priority"] == "urgent"
    assert finding.facts["visit_date"] == "2026-11-21"
    assert finding.facts["contact_due"] == "2026-11-24T23:59:59-05:00"
    assert finding.facts["visit_due"] == "2026-11-28"
    assert (finding.facts["stay_key"], finding.facts["encounter"]) == ("s|ed", "ed")


@pytest.mark.parametrize(
    ("conditions", "priority"),
    [
        ([], "routine"),
        ([condition("J44.9"), condition("J45.909")], "routine"),  # COPD and asthma are one
        ([condition("G30.9"), condition("F03.90")], "routine"),  # both are dementia
        ([condition("N18.4"), condition("F33.1")], "urgent"),
        ([condition("I21.4"), condition("I48.0")], "urgent"),
        ([condition("I63.9"), condition("J44.9")], "urgent"),
        ([condition("J44.9"), condition("I50.9", clinical="resolved")], "routine"),
        ([condition("J44.9"), condition("I50.9", clinical="resolved", recorded="2025-01-01")], "urgent"),
        ([condition("J44.9"), condition("I50.9", clinical="resolved", recorded="2024-12-31")], "routine"),
        ([condition("J44.9"), condition("I50.9", verification="unconfirmed")], "routine"),
        ([condition("J44.9"), condition("I50.9", onset="2026-11-22")], "routine"),
        ([condition("J44.9"), diagnosis("I50.9", onset="2001-01-01")], "urgent"),
        ([condition("J44.9"), condition("I50.9", abatement="2026-01-01")], "routine"),
    ],
)
def test_urgent_from_two_groups_active_or_recorded_before_the_visit(conditions, priority):
    assert ask(RULE, VISIT, *conditions).facts["priority"] == priority


@pytest.mark.parametrize(("kind", "priority"), [("Encounter", "urgent"), ("EpisodeOfCare", "routine")])
def test_only_an_encounter_dates_a_condition(kind, priority):
    old = enc("AMB", "2026-03-01 08:00", "2026-03-01 09:00", id="old")
    over = condition("I50.9", clinical="resolved", encounter=f"{kind}/old")
    assert ask(RULE, VISIT, old, condition("J44.9"), over).facts["priority"] == priority


def test_it_is_raised_24_hours_after_the_end():
    assert said(ask(RULE, VISIT, as_of="11-22 09:59:59")) == no("ed_too_recent")
    assert said(ask(RULE, VISIT, as_of="11-22 10:00")) == ELIGIBLE


def test_an_end_without_a_time_waits_for_the_whole_day_to_pass():
    fact = emer("11-20", "11-20")
    assert said(ask(RULE, fact, as_of="11-21 23:59")) == no("ed_too_recent")
    assert said(ask(RULE, fact, as_of="11-22 00:00")) == ELIGIBLE


def test_the_window_closes_after_day_seven_from_the_end():
    fact = emer("11-14 23:00", "11-15 02:00")
    finding = ask(RULE, fact, as_of="11-22 23:59")
    assert said(finding) == ELIGIBLE
    assert (finding.facts["visit_date"], finding.facts["visit_due"]) == ("2026-11-14", "2026-11-22")
    assert said(ask(RULE, fact, as_of="11-23 00:00")) == no("period_over")
    assert said(ask(RULE, fact, as_of="11-23 00:00", ed_followup_days=8)) == ELIGIBLE


def test_a_visit_that_flowed_into_a_stay_is_the_stays_affair():
    ed = emer("11-18 08:00", "11-18 10:00")
    assert said(ask(RULE, ed, imp("11-18 10:00", "11-20 10:00"))) == no("became_stay")
    finding = ask(RULE, ed, running(imp("11-18 10:00")))
    assert finding.reasons == ["became_stay", "stay_open"]


def test_nothing_at_all_is_no_stay_and_a_patient_in_hospital_is_not_called():
    assert said(ask(RULE)) == no("no_stay")
    assert said(ask(RULE, running(imp("11-18 10:00")))) == no("stay_open")
    home = emer("11-18 08:00", "11-18 10:00", disposition="home")
    assert said(ask(RULE, home, running(imp("11-20 10:00")))) == no("stay_open")


def test_a_stale_stay_does_not_keep_the_visit_back():
    fact = emer("11-18 08:00", "11-18 10:00")
    assert said(ask(RULE, fact, running(imp("11-20 10:00", "11-20 20:00")))) == ELIGIBLE


def test_an_open_visit_is_open_for_three_days_and_then_insufficient_through_day_seven():
    fact = running(emer("11-15 10:00"))
    assert said(ask(RULE, fact, as_of="11-18 23:59")) == no("stay_open")
    stale = ask(RULE, fact, as_of="11-19 00:00")
    assert said(stale) == unsure("status_stale")
    assert "status_stale" in stale.flags
    assert said(ask(RULE, fact, as_of="11-22 23:59")) == unsure("status_stale")
    assert said(ask(RULE, fact, as_of="11-23 00:00")) == no("no_stay")


def test_a_visit_without_an_end_is_insufficient_through_day_seven():
    fact = emer("11-15 10:00")
    assert said(ask(RULE, fact, as_of="11-17 10:00")) == unsure("discharge_date_missing")
    assert said(ask(RULE, fact, as_of="11-22 23:59")) == unsure("discharge_date_missing")
    assert ask(RULE, fact, as_of="11-23 00:00").outcome is Outcome.NOT_ELIGIBLE


def test_a_partial_end_is_insufficient_while_a_day_of_it_lies_in_the_window():
    fact = emer("10-25", "2026-10")
    assert said(ask(RULE, fact, as_of="11-07 12:00")) == unsure("discharge_date_missing")
    assert ask(RULE, fact, as_of="11-08 12:00").outcome is Outcome.NOT_ELIGIBLE


@pytest.mark.parametrize(("start", "answer"), [("11-19", no("ed_return")), ("11-20", ELIGIBLE)])
def test_a_visit_that_starts_within_the_tcm_period_belongs_to_that_episode(start, answer):
    stay, visit = imp("10-18 10:00", "10-21 10:00"), emer(f"{start} 08:00", f"{start} 10:00")
    assert said(ask(RULE, stay, visit)) == answer


def test_a_visit_on_the_day_of_discharge_belongs_to_the_episode():
    finding = ask(RULE, imp("11-15 10:00", "11-20 10:00"), emer("11-20 20:00", "11-20 22:00"))
    assert said(finding) == no("ed_return")


@pytest.mark.parametrize("code", ["aadvice", "snf", "other-hcf", "long"])
def test_a_stay_without_a_tcm_episode_takes_no_visit(code):
    stay = imp("11-10 10:00", "11-15 10:00", disposition=code)
    assert said(ask(RULE, stay, emer("11-19 20:00", "11-19 22:00"))) == ELIGIBLE


def test_a_visit_before_the_stay_is_no_return():
    finding = ask(RULE, emer("11-17 10:00", "11-17 12:00"), imp("11-19 10:00", "11-20 10:00"))
    assert said(finding) == ELIGIBLE


def test_leaving_the_ed_against_advice_is_urgent():
    finding = ask(RULE, emer("11-20 08:00", "11-20 10:00", disposition="aadvice"))
    assert said(finding) == ELIGIBLE
    assert (finding.flags, finding.facts["priority"]) == (["left_against_advice"], "urgent")


@pytest.mark.parametrize("code", ["other-hcf", "snf"])
def test_a_transfer_from_the_ed_without_a_stay_is_followed_after_two_business_days(code):
    fact = emer("11-18 08:00", "11-18 10:00", disposition=code)
    assert said(ask(RULE, fact, as_of="11-20 23:59")) == no("transfer_awaited")
    finding = ask(RULE, fact, as_of="11-21 00:00")
    assert (finding.outcome, finding.reasons) == (Outcome.ELIGIBLE, ["transfer_unseen"])
    assert "transfer_unseen" in finding.flags


def test_a_transfer_from_the_ed_that_arrived_within_two_business_days_is_not_followed():
    fact = emer("11-18 08:00", "11-18 10:00", disposition="other-hcf")
    assert said(ask(RULE, fact, imp("11-20 10:00", "11-20 20:00"), as_of="11-22 15:00")) == no("became_stay")
    assert ask(RULE, fact, obs("11-21 10:00", "11-21 20:00")).reasons == ["transfer_unseen"]


def test_a_stay_before_the_visit_is_not_where_the_patient_was_sent():
    stay = imp("11-10 10:00", "11-15 10:00", disposition="aadvice")
    fact = emer("11-18 08:00", "11-18 10:00", disposition="other-hcf")
    assert ask(RULE, stay, fact).reasons == ["transfer_unseen"]


@pytest.mark.parametrize("code", ["hosp", "exp"])
def test_hospice_and_death_are_left_to_the_gates(code):
    assert said(ask(RULE, emer("11-20 08:00", "11-20 10:00", disposition=code))) == no("no_stay")


@pytest.mark.parametrize(
    ("contact", "answer"),
    [
        (enc("AMB", "11-21 11:00", "11-21 12:00"), no("followed_up")),
        (enc("VR", "11-22 11:00"), no("followed_up")),
        (enc("HH", "11-22"), no("followed_up")),
        (enc("FLD", "11-22 11:00"), ELIGIBLE),
        (enc("AMB", "11-21 09:00", "11-21 11:00"), ELIGIBLE),  # began before the visit ended
        (enc("AMB", "11-21"), ELIGIBLE),  # nobody knows whether before or after
        (enc("AMB", "11-22 11:00", status="planned"), ELIGIBLE),
        (enc("AMB", "11-22 11:00", status="in-progress"), ELIGIBLE),
        (enc("AMB", "11-22 11:00", type="702927004"), ELIGIBLE),
        (enc("HH", "11-22 11:00", type="305336008"), ELIGIBLE),
        (enc("AMB", "11-24 11:00"), ELIGIBLE),  # dated in the future
        (enc("", "11-22 11:00", classes=()), ELIGIBLE),
    ],
)
def test_a_finished_outpatient_contact_after_the_visit_follows_it_up(contact, answer):
    assert said(ask(RULE, VISIT, contact)) == answer


def test_several_visits_are_listed_and_the_newest_eligible_one_speaks():
    first, second = emer("11-16 08:00", "11-16 10:00", id="a"), emer("11-19 08:00", "11-19 10:00", id="b")
    finding = ask(RULE, first, second)
    assert [one["subject"] for one in finding.facts["episodes"]] == ["a", "b"]
    assert finding.facts["visit_date"] == "2026-11-19"


def test_a_visit_during_skilled_nursing_is_part_of_that_stay():
    resident, visit = running(snf("11-10 10:00")), emer("11-22 08:00", "11-22 10:00")
    assert ask(RULE, resident, visit).reasons == ["became_stay", "stay_open"]
    assert said(ask(RULE, resident, visit, as_of="11-23 15:00")) == no("became_stay")  # the stay is stale
