"""DIS-AMA: left against advice."""

from cm_service.rules.decision import Outcome
from cm_service.rules.programs.dis_ama import RULE
from tests.rules.stay_helpers import ask, emer, imp, running


def left(start, end, **changes):
    return imp(start, end, **{"disposition": "aadvice", **changes})


def test_leaving_against_advice_is_eligible_and_urgent_through_day_seven():
    fact = left("11-10 10:00", "11-15 10:00")
    finding = ask(RULE, fact, as_of="11-22 23:59")
    assert finding.outcome is Outcome.ELIGIBLE
    assert finding.flags == ["left_against_advice"]
    assert (finding.facts["discharge_date"], finding.facts["priority"]) == ("2026-11-15", "urgent")
    over = ask(RULE, fact, as_of="11-23 00:00")
    assert (over.outcome, over.reasons) == (Outcome.NOT_ELIGIBLE, ["period_over"])


def test_other_dispositions_are_nothing_to_follow():
    finding = ask(RULE, imp("11-10 10:00", "11-20 10:00"))
    assert (finding.outcome, finding.reasons) == (Outcome.NOT_ELIGIBLE, ["no_stay"])


def test_a_later_stay_closes_it():
    finding = ask(RULE, left("11-10 10:00", "11-16 10:00"), imp("11-18 10:00", "11-20 10:00"))
    assert (finding.outcome, finding.reasons) == (Outcome.NOT_ELIGIBLE, ["readmitted"])


def test_an_ed_visit_against_advice_is_not_a_stay():
    assert ask(RULE, emer("11-20 10:00", "11-20 12:00", disposition="aadvice")).reasons == ["no_stay"]


def test_an_unknown_end_is_insufficient_only_if_the_last_known_disposition_is_against_advice():
    assert ask(RULE, left("11-10 10:00", None)).outcome is Outcome.INSUFFICIENT_DATA
    assert ask(RULE, imp("11-10 10:00", None)).outcome is Outcome.NOT_ELIGIBLE
    stale = running(left("11-10 10:00", "11-18 10:00"))
    assert ask(RULE, stale).reasons == ["status_stale"]
    assert ask(RULE, running(imp("11-10 10:00", "11-18 10:00"))).outcome is Outcome.NOT_ELIGIBLE


def test_a_partial_end_is_insufficient_while_a_day_of_it_lies_in_the_window():
    fact = left("10-20", "2026-10")
    assert ask(RULE, fact, as_of="11-07 12:00").outcome is Outcome.INSUFFICIENT_DATA
    assert ask(RULE, fact, as_of="11-08 12:00").reasons == ["period_over"]


def test_a_stay_that_is_still_open_is_not_left_yet():
    assert ask(RULE, running(left("11-20 10:00", None))).outcome is Outcome.NOT_ELIGIBLE
