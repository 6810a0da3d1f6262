"""DIS-SNF: in skilled nursing, or sent there."""

import pytest

from cm_service.rules.decision import Outcome
from cm_service.rules.programs.dis_snf import RULE
from tests.rules.stay_helpers import ask, emer, imp, obs, running, snf


def said(finding):
    return finding.outcome, finding.reasons


def sent(start, end, **changes):
    return imp(start, end, **{"disposition": "snf", **changes})


OPEN = (Outcome.ELIGIBLE, ["snf_open"])
UNSEEN = (Outcome.ELIGIBLE, ["transfer_awaited"])
NOTHING = (Outcome.NOT_ELIGIBLE, ["no_stay"])


def test_an_open_skilled_nursing_member_is_eligible_whichever_member_it_is():
    assert said(ask(RULE, running(snf("11-10 10:00")))) == OPEN
    finding = ask(RULE, sent("11-05 10:00", "11-10 09:00"), running(snf("11-10 10:00", id="nursing")))
    assert said(finding) == OPEN
    assert (finding.facts["encounter"], finding.facts["snf_since"]) == ("nursing", "2026-11-10")


def test_it_ends_when_the_skilled_nursing_member_ends():
    assert said(ask(RULE, sent("11-05 10:00", "11-10 09:00"), snf("11-10 10:00", "11-20 10:00"))) == NOTHING


def test_an_unseen_facility_is_watched_for_thirty_days_and_then_reviewed():
    fact = sent("11-10 10:00", "11-20 10:00")
    finding = ask(RULE, fact)
    assert said(finding) == UNSEEN
    assert finding.facts["discharge_date"] == "2026-11-20"
    assert said(ask(RULE, fact, as_of="12-20 23:59")) == UNSEEN
    over = ask(RULE, fact, as_of="12-21 00:00")
    assert said(over) == (Outcome.NOT_ELIGIBLE, ["period_over"])
    assert "snf_unseen" in over.flags


def test_a_stay_or_member_that_ends_later_ends_the_watch():
    fact = sent("11-05 10:00", "11-10 10:00")
    assert said(ask(RULE, fact, imp("11-15 10:00", "11-16 10:00"))) == NOTHING
    assert said(ask(RULE, fact, obs("11-10 11:00", "11-10 20:00"))) == NOTHING
    assert said(ask(RULE, fact, running(imp("11-20 10:00")))) == NOTHING
    assert said(ask(RULE, fact, emer("11-15 10:00", "11-15 12:00"))) == UNSEEN


def test_a_stay_that_was_never_closed_but_ended_earlier_does_not_end_the_watch():
    forgotten = running(imp("10-25 08:00", "10-28 10:00"))
    assert said(ask(RULE, forgotten, sent("11-05 08:00", "11-10 10:00"))) == UNSEEN


def test_a_skilled_nursing_member_that_ended_days_ago_is_not_open():
    nursing = snf("11-13 04:00", "11-18 09:00", status="onleave", disposition="other-hcf")
    finding = ask(RULE, nursing, running(imp("11-19 05:00")))
    assert said(finding) == NOTHING


def test_an_open_stay_around_the_sending_member_ends_the_watch():
    inner = sent("11-11 10:00", "11-22 10:00", part_of="Encounter/outer")
    assert said(ask(RULE, running(imp("11-10 10:00", id="outer")), inner)) == NOTHING


def test_a_skilled_nursing_stay_with_a_vague_end_that_followed_is_not_unseen():
    assert said(ask(RULE, sent("11-05 10:00", "11-10 10:00"), snf("11-12 10:00", "2026-11"))) == NOTHING


def test_sent_from_a_member_that_is_not_the_last_counts_too():
    inner = sent("11-11 10:00", "11-12 10:00", part_of="Encounter/outer")
    outer = imp("11-10 10:00", "11-12 10:00", id="outer", disposition=None)
    assert said(ask(RULE, outer, inner)) == UNSEEN


def test_a_skilled_nursing_stay_without_an_end_that_followed_is_not_unseen():
    finding = ask(RULE, sent("11-05 10:00", "11-10 10:00"), snf("11-12 10:00"))
    assert said(finding) == (Outcome.INSUFFICIENT_DATA, ["discharge_date_missing"])


def test_a_stale_group_wins_over_an_open_member():
    nursing, hospital = running(snf("11-01 10:00")), imp("11-10 10:00", "11-12 10:00")
    assert said(ask(RULE, nursing, hospital)) == (Outcome.INSUFFICIENT_DATA, ["status_stale"])


@pytest.mark.parametrize(
    ("fact", "outcome"),
    [
        (running(snf("11-01 10:00", "11-10 10:00")), Outcome.INSUFFICIENT_DATA),
        (running(sent("11-01 10:00", "11-10 10:00")), Outcome.INSUFFICIENT_DATA),
        (sent("11-01 10:00", None), Outcome.INSUFFICIENT_DATA),
        (running(imp("11-01 10:00", "11-10 10:00")), Outcome.NOT_ELIGIBLE),
        (imp("11-01 10:00", None), Outcome.NOT_ELIGIBLE),
    ],
)
def test_an_unknown_end_is_insufficient_only_if_setting_or_disposition_fits(fact, outcome):
    assert ask(RULE, fact).outcome is outcome


def test_a_stale_stay_whose_last_setting_was_skilled_nursing_is_insufficient():
    hospital, nursing = running(imp("11-01 10:00")), snf("11-10 10:00", "11-12 10:00")
    assert said(ask(RULE, hospital, nursing)) == (Outcome.INSUFFICIENT_DATA, ["status_stale"])


def test_a_home_discharge_is_nothing_to_watch():
    assert said(ask(RULE, imp("11-10 10:00", "11-20 10:00"))) == NOTHING
