"""DIS-READMIT: back in hospital within 30 days."""

import pytest

from cm_service.rules.decision import Outcome
from cm_service.rules.facts import Coding, Concept
from cm_service.rules.programs.dis_readmit import RULE
from tests.rules.stay_helpers import ask, emer, enc, imp, obs, running, snf

ELECTIVE = Concept((Coding("http://terminology.hl7.org/CodeSystem/v3-ActPriority", "EL"),))
PLANNED = Concept((Coding("https://www.nubc.org/CodeSystem/PatDischargeStatus", "81"),))


def said(finding):
    return finding.outcome, finding.reasons


BACK = (Outcome.ELIGIBLE, ["readmitted"])
NOT = (Outcome.NOT_ELIGIBLE, ["no_stay"])


def test_back_the_next_day_is_a_readmission():
    finding = ask(RULE, imp("11-15", "11-17 20:00"), imp("11-18 15:00", "11-20 11:00", id="b"))
    assert said(finding) == BACK
    assert finding.facts["index_discharge_date"] == "2026-11-17"
    assert finding.facts["readmission_date"] == "2026-11-18"
    assert (finding.facts["priority"], finding.facts["stay_key"]) == ("urgent", "b")


@pytest.mark.parametrize(("start", "answer"), [("11-20 23:59", BACK), ("11-21 00:00", NOT)])
def test_day_thirty_counts_and_day_thirty_one_does_not(start, answer):
    assert said(ask(RULE, imp("10-10", "10-21 20:00"), running(imp(start)))) == answer


def test_it_is_raised_while_the_new_stay_began_within_thirty_days():
    facts = imp("10-10", "10-15 20:00"), imp("10-20 15:00", "10-22 11:00")
    assert said(ask(RULE, *facts, as_of="11-19 23:59")) == BACK
    over = ask(RULE, *facts, as_of="11-20 00:00")
    assert said(over) == (Outcome.NOT_ELIGIBLE, ["period_over"])
    assert over.facts["readmission_date"] == "2026-10-20"


def test_a_same_day_return_is_not_a_readmission():
    assert said(ask(RULE, imp("11-10", "11-12 09:00"), imp("11-12 21:00", "11-15 10:00"))) == NOT


@pytest.mark.parametrize(
    ("new", "answer"),
    [
        (enc("ACUTE", "11-18 10:00", "11-20 10:00"), BACK),
        (enc("NONAC", "11-18 10:00", "11-20 10:00"), NOT),
        (snf("11-18 10:00", "11-20 10:00"), NOT),
        (obs("11-18 10:00", "11-20 10:00"), NOT),
        (emer("11-18 10:00", "11-18 20:00"), NOT),
    ],
)
def test_the_new_stay_must_have_an_acute_inpatient_member(new, answer):
    assert said(ask(RULE, imp("11-10", "11-15 10:00"), new)) == answer


def test_observation_counts_where_the_practice_says_so():
    facts = imp("11-10", "11-15 10:00"), obs("11-18 10:00", "11-20 10:00")
    assert said(ask(RULE, *facts, dis_observation_readmit=True)) == BACK


def test_a_readmission_through_the_ed_begins_with_the_ed():
    facts = imp("11-10", "11-15 10:00"), emer("11-17 22:00", "11-18 02:00"), imp("11-18 02:00", "11-20 10:00")
    assert ask(RULE, *facts).facts["readmission_date"] == "2026-11-17"


def test_an_ed_visit_on_the_evening_of_discharge_does_not_hide_the_admission_after_midnight():
    facts = imp("11-10", "11-15 10:00"), emer("11-15 22:00", "11-16 02:00"), imp("11-16 02:00", "11-20 10:00")
    assert ask(RULE, *facts).facts["readmission_date"] == "2026-11-16"


@pytest.mark.parametrize(
    ("index", "new"),
    [
        ({"disposition": PLANNED}, {}),
        ({}, {"priority": ELECTIVE}),
        ({}, {"type": "8715000"}),
    ],
)
def test_a_planned_return_is_not_raised(index, new):
    facts = imp("11-10", "11-15 10:00", **index), imp("11-18 10:00", "11-20 10:00", **new)
    finding = ask(RULE, *facts)
    assert said(finding) == (Outcome.NOT_ELIGIBLE, ["planned"])
    assert finding.facts["readmission_date"] == "2026-11-18"


@pytest.mark.parametrize("code", ["other-hcf", "snf"])
@pytest.mark.parametrize(("start", "answer"), [("11-16 23:00", NOT), ("11-17 01:00", BACK)])
def test_after_a_transfer_the_next_stay_is_a_continuation_up_to_one_day_later(code, start, answer):
    assert said(ask(RULE, imp("11-10", "11-15 10:00", disposition=code), running(imp(start)))) == answer


def test_the_index_is_the_latest_stay_before():
    between = obs("11-12 10:00", "11-13 10:00")
    finding = ask(RULE, imp("11-05", "11-10 10:00"), between, imp("11-18 10:00", "11-20 10:00"))
    assert finding.facts["index_discharge_date"] == "2026-11-13"


@pytest.mark.parametrize("code", ["home", "aadvice", "hosp", "long", None])
def test_every_index_disposition_but_expired_counts(code):
    index = imp("11-10", "11-15 10:00", disposition=code)
    assert said(ask(RULE, index, running(imp("11-20 10:00")))) == BACK
    dead = imp("11-10", "11-15 10:00", disposition="exp")
    assert said(ask(RULE, dead, running(imp("11-20 10:00")))) == NOT


def test_a_stale_new_stay_does_not_hide_a_readmission():
    index = imp("11-10", "11-15 10:00")
    assert said(ask(RULE, index, running(imp("11-17 10:00", "11-18 10:00")))) == BACK
    forgotten = running(obs("11-17 10:00"))
    assert said(ask(RULE, index, forgotten, dis_observation_readmit=True)) == BACK


def test_what_happens_inside_an_open_stay_is_no_readmission():
    facts = running(imp("11-10 10:00")), running(obs("11-15 10:00"))
    assert said(ask(RULE, *facts, dis_observation_readmit=True)) == NOT


def test_an_index_without_a_day_is_insufficient():
    finding = ask(RULE, imp("11-10 10:00"), imp("11-18 10:00", "11-20 10:00"))
    assert said(finding) == (Outcome.INSUFFICIENT_DATA, ["discharge_date_missing"])
    finding = ask(RULE, running(imp("11-10 10:00", "11-12 10:00")), imp("11-18 10:00", "11-20 10:00"))
    assert said(finding) == (Outcome.INSUFFICIENT_DATA, ["status_stale"])


def hospital_nursing_hospital(**changes):
    return (
        imp("11-01 10:00", "11-05 10:00", disposition="snf", **changes),
        snf("11-05 11:00", "11-12 10:00", disposition="other-hcf"),
        imp("11-12 11:00", "11-18 10:00", id="back", identifier="s|back"),
    )


def test_hospital_nursing_hospital_inside_one_stay_is_a_readmission():
    finding = ask(RULE, *hospital_nursing_hospital())
    assert said(finding) == BACK
    assert finding.facts["index_discharge_date"] == "2026-11-05"
    assert finding.facts["readmission_date"] == "2026-11-12"
    assert (finding.facts["encounter"], finding.facts["stay_key"]) == ("back", "s|back")


def test_inside_one_stay_the_continuation_sentence_does_not_apply_but_planned_does():
    first = imp("11-01 10:00", "11-05 10:00", disposition="snf")
    nursing = snf("11-05 11:00", "11-06 09:00", disposition="other-hcf")
    assert said(ask(RULE, first, nursing, imp("11-06 10:00", "11-18 10:00"))) == BACK
    planned = imp("11-06 10:00", "11-18 10:00", priority=ELECTIVE)
    assert said(ask(RULE, first, nursing, planned)) == (Outcome.NOT_ELIGIBLE, ["planned"])


def test_inside_one_stay_the_return_must_come_after_nursing_began():
    first = imp("11-01 10:00", "11-05 10:00", disposition="other-hcf")
    second = imp("11-06 09:00", "11-10 10:00", disposition="snf")
    assert said(ask(RULE, first, second, snf("11-10 11:00", "11-18 10:00"))) == NOT


def test_a_same_day_return_from_skilled_nursing_is_no_readmission():
    nursing = snf("11-01 10:00", "11-20 10:00")
    first = imp("11-05 10:00", "11-08 09:00")
    assert said(ask(RULE, nursing, first, imp("11-08 20:00", "11-10 10:00"))) == NOT
    assert said(ask(RULE, nursing, first, imp("11-09 00:00", "11-10 10:00"))) == BACK


def test_several_readmissions_are_listed_and_the_newest_speaks():
    facts = [imp(f"11-{day:02} 10:00", f"11-{day + 1:02} 10:00", id=str(day)) for day in (5, 10, 15)]
    finding = ask(RULE, *facts)
    assert [one["readmission_date"] for one in finding.facts["episodes"]] == ["2026-11-10", "2026-11-15"]
    assert finding.facts["readmission_date"] == "2026-11-15"
