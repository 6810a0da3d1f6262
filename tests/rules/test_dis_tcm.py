"""DIS-TCM: discharged to the community."""

import pytest

from cm_service.rules.decision import Outcome
from cm_service.rules.facts import Coding, Concept
from cm_service.rules.programs.dis_tcm import RULE
from tests.rules.stay_helpers import ask, emer, enc, imp, obs, running, snf

NUBC = "https://www.nubc.org/CodeSystem/PatDischargeStatus"


def said(finding):
    return finding.outcome, finding.reasons


ELIGIBLE = (Outcome.ELIGIBLE, ["community_discharge"])


def test_a_friday_discharge_home_gives_the_dates_of_the_clock():
    finding = ask(RULE, imp("11-17 10:00", "2026-11-20T14:00:00-05:00", identifier="s|1", id="e1"))
    assert said(finding) == ELIGIBLE
    assert {key: finding.facts[key] for key in list(finding.facts) if key != "episodes"} == {
        "discharge_date": "2026-11-20",
        "contact_due": "2026-11-24T23:59:59-05:00",
        "visit_due_high": "2026-11-27",
        "visit_due_moderate": "2026-12-04",
        "period_end": "2026-12-19",
        "priority": "asap",
        "stay_key": "s|1",
        "encounter": "e1",
    }
    assert finding.facts["episodes"][0]["subject"] == "s|1"


def test_the_discharge_day_is_local_whatever_the_offset_says():
    finding = ask(RULE, imp("11-17 10:00", "2026-11-24T03:00:00Z"), as_of="11-24 12:00")
    assert finding.facts["discharge_date"] == "2026-11-23"
    assert finding.facts["contact_due"] == "2026-11-25T23:59:59-05:00"


def test_thanksgiving_moves_the_contact_and_not_the_visit():
    finding = ask(RULE, imp("11-17 10:00", "11-24 10:00"), as_of="11-24 12:00")
    assert finding.facts["contact_due"] == "2026-11-27T23:59:59-05:00"
    assert finding.facts["visit_due_high"] == "2026-12-01"


def test_the_due_instant_has_the_offset_of_its_own_date():
    finding = ask(RULE, imp("10-27 10:00", "10-30 10:00"), as_of="10-31 12:00")
    assert finding.facts["contact_due"] == "2026-11-03T23:59:59-05:00"


@pytest.mark.parametrize("setting", [imp, obs, snf])
def test_every_stay_setting_starts_the_clock(setting):
    assert said(ask(RULE, setting("11-19 10:00", "11-20 10:00"))) == ELIGIBLE


def test_the_period_ends_after_day_29():
    fact = imp("11-10 10:00", "11-15 10:00")
    assert said(ask(RULE, fact, as_of="12-14 23:59:59")) == ELIGIBLE
    over = ask(RULE, fact, as_of="12-15 00:00")
    assert said(over) == (Outcome.NOT_ELIGIBLE, ["period_over"])
    assert over.facts["discharge_date"] == "2026-11-15"
    assert "priority" not in over.facts


def test_a_shorter_backfill_ends_it_sooner():
    fact = imp("11-10 10:00", "11-15 10:00")
    assert said(ask(RULE, fact, dis_backfill_days=7)) == ELIGIBLE
    assert ask(RULE, fact, dis_backfill_days=6).reasons == ["period_over"]


def test_no_encounter_means_no_stay():
    assert said(ask(RULE)) == (Outcome.NOT_ELIGIBLE, ["no_stay"])
    assert said(ask(RULE, emer("11-20 10:00", "11-20 12:00"))) == (Outcome.NOT_ELIGIBLE, ["no_stay"])


def test_an_open_stay_is_not_a_discharge():
    assert said(ask(RULE, running(imp("11-20 10:00")))) == (Outcome.NOT_ELIGIBLE, ["stay_open"])
    assert said(ask(RULE, running(snf("11-20 10:00")))) == (Outcome.NOT_ELIGIBLE, ["stay_open"])


def test_open_by_status_with_an_end_past_is_insufficient_and_stale():
    finding = ask(RULE, running(imp("11-10 10:00", "11-18")))
    assert said(finding) == (Outcome.INSUFFICIENT_DATA, ["status_stale"])
    assert "status_stale" in finding.flags
    assert "contact_due" not in finding.facts


def test_a_missing_end_is_insufficient():
    assert said(ask(RULE, imp("11-10 10:00"))) == (Outcome.INSUFFICIENT_DATA, ["discharge_date_missing"])


def test_a_missing_end_is_left_out_with_a_review_when_something_later_began():
    finding = ask(RULE, imp("11-10 10:00"), emer("11-15 10:00", "11-15 12:00"))
    assert said(finding) == (Outcome.NOT_ELIGIBLE, ["no_stay"])
    assert "status_stale" in finding.flags


def test_a_forgotten_open_encounter_does_not_hide_a_discharge():
    old = running(imp("2026-08-01 10:00"))
    finding = ask(RULE, old, imp("11-10 10:00", "11-20 10:00"))
    assert said(finding) == ELIGIBLE
    assert "status_stale" in finding.flags


def test_a_partial_end_is_insufficient_while_a_day_of_it_lies_in_the_window():
    fact = imp("10-20", "2026-10")
    finding = ask(RULE, fact)
    assert said(finding) == (Outcome.INSUFFICIENT_DATA, ["discharge_date_missing"])
    assert "partial_date" in finding.flags
    assert said(ask(RULE, fact, as_of="11-29 23:59")) == said(finding)
    assert ask(RULE, fact, as_of="11-30 00:00").reasons == ["period_over"]


@pytest.mark.parametrize(
    ("code", "reasons"),
    [("aadvice", ["no_stay"]), ("hosp", ["no_stay"]), ("exp", ["no_stay"]), ("long", ["long_term_care"])],
)
def test_other_dispositions_do_not_start_the_clock(code, reasons):
    finding = ask(RULE, imp("11-17 10:00", "11-20 10:00", disposition=code))
    assert said(finding) == (Outcome.NOT_ELIGIBLE, reasons)
    assert finding.facts["discharge_date"] == "2026-11-20"


@pytest.mark.parametrize(("code", "reasons"), [("21", ["no_stay"]), ("30", ["stay_open"])])
def test_custody_and_still_a_patient_start_nothing(code, reasons):
    disposition = Concept((Coding(NUBC, code),))
    finding = ask(RULE, imp("11-17 10:00", "11-20 10:00", disposition=disposition))
    assert said(finding) == (Outcome.NOT_ELIGIBLE, reasons)


@pytest.mark.parametrize("code", ["oth", None, Concept((Coding("urn:local", "H"),)), Concept((), "home")])
def test_a_disposition_that_says_nothing_is_community_with_a_flag(code):
    finding = ask(RULE, imp("11-17 10:00", "11-20 10:00", disposition=code))
    assert said(finding) == ELIGIBLE
    assert "disposition_missing" in finding.flags


def test_a_death_that_is_denied_reads_as_disposition_missing():
    visit = enc("AMB", "11-21 10:00", "11-21 11:00")
    finding = ask(RULE, imp("11-17 10:00", "11-20 10:00", disposition="exp"), visit)
    assert said(finding) == ELIGIBLE
    assert {"expired_conflict", "disposition_missing"} <= set(finding.flags)


def test_a_transfer_waits_two_business_days_for_the_next_stay():
    fact = imp("11-10 10:00", "11-20 10:00", disposition="other-hcf")
    assert said(ask(RULE, fact, as_of="11-24 23:59:59")) == (Outcome.NOT_ELIGIBLE, ["transfer_awaited"])
    unseen = ask(RULE, fact, as_of="11-25 00:00")
    assert said(unseen) == (Outcome.INSUFFICIENT_DATA, ["transfer_unseen"])
    assert "transfer_unseen" in unseen.flags
    assert ask(RULE, fact, as_of="12-20 00:00").reasons == ["period_over"]


def test_a_transfer_that_arrived_speaks_through_the_next_stay():
    first = imp("11-10 10:00", "11-16 10:00", disposition="other-hcf")
    assert said(ask(RULE, first, imp("11-18 10:00", "11-20 10:00"))) == ELIGIBLE
    assert ask(RULE, first, running(imp("11-18 10:00"))).reasons == ["stay_open"]


def test_sent_to_skilled_nursing_waits_and_home_from_there_starts_the_clock():
    first = imp("11-10 10:00", "11-16 10:00", disposition="snf")
    assert said(ask(RULE, first)) == (Outcome.NOT_ELIGIBLE, ["transfer_awaited"])
    assert ask(RULE, first, running(snf("11-16 11:00"))).reasons == ["stay_open"]
    home = ask(RULE, first, snf("11-16 11:00", "11-20 10:00"))
    assert said(home) == ELIGIBLE
    assert home.facts["discharge_date"] == "2026-11-20"


def test_a_later_stay_closes_the_episode_and_the_newest_speaks():
    first, second = imp("11-15", "11-17 20:00", id="a"), imp("11-18 15:00", "11-20 11:00", id="b")
    finding = ask(RULE, first, second)
    assert said(finding) == ELIGIBLE
    assert finding.facts["discharge_date"] == "2026-11-20"
    listed = [(one["subject"], one["outcome"], one["reasons"]) for one in finding.facts["episodes"]]
    assert listed == [("a", "not_eligible", ["readmitted"]), ("b", "eligible", ["community_discharge"])]


def test_an_open_later_stay_closes_it_too():
    finding = ask(RULE, imp("11-10 10:00", "11-15 10:00"), running(imp("11-20 10:00")))
    assert said(finding) == (Outcome.NOT_ELIGIBLE, ["stay_open"])


def test_an_ed_visit_does_not_close_it():
    finding = ask(RULE, imp("11-10 10:00", "11-15 10:00"), emer("11-18 10:00", "11-18 12:00"))
    assert said(finding) == ELIGIBLE


def test_a_missing_disposition_merges_and_says_possible_readmission():
    first, second = imp("11-15", "11-17 20:00", disposition=None), imp("11-18 15:00", "11-20 11:00")
    finding = ask(RULE, first, second)
    assert said(finding) == ELIGIBLE
    assert "possible_readmission" in finding.flags


def test_an_unmapped_class_is_flagged():
    assert "dq_class_unmapped" in ask(RULE, enc("", "11-19", "11-20", classes=())).flags


def test_evidence_names_the_encounter_its_version_and_the_raw_text():
    finding = ask(RULE, imp("11-17 10:00", "2026-11-20T14:00:00-05:00", id="e1", version="3"))
    (ended,) = [one for one in finding.evidence if one.path == "Encounter.period.end"]
    assert (ended.id, ended.version) == ("e1", "3")
    assert (ended.raw, ended.value) == ("2026-11-20T14:00:00-05:00", "2026-11-20")
