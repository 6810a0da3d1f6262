"""ED-OVERUSE: frequent emergency visits."""

import pytest

from cm_service.rules.decision import Outcome
from cm_service.rules.programs.ed_overuse import RULE
from tests.rules.stay_helpers import ask, emer, enc, imp, running


def visits(*days):
    return [emer(f"{day} 08:00", f"{day} 10:00") for day in days]


FOUR = visits("2025-11-23", "03-01", "06-01", "10-01")


def test_four_visits_are_enough_and_three_are_watched():
    finding = ask(RULE, *FOUR)
    assert (finding.outcome, finding.facts["value"], finding.flags) == (Outcome.ELIGIBLE, 4, [])
    three = ask(RULE, *FOUR[1:])
    assert (three.outcome, three.facts["value"]) == (Outcome.NOT_ELIGIBLE, 3)
    assert three.flags == ["ed_watch"]
    assert ask(RULE, *FOUR[2:]).flags == []


def test_visits_of_one_local_date_count_once():
    again = [*FOUR, emer("10-01 20:00", "10-01 22:00")]
    assert ask(RULE, *again).facts["value"] == 4
    utc = [
        *FOUR[:3],
        emer("2026-10-02T02:00:00Z", "2026-10-02T03:00:00Z"),
        emer("10-01 10:00", "10-01 11:00"),
    ]
    assert ask(RULE, *utc).facts["value"] == 4


def test_the_window_is_365_local_days_without_its_first():
    assert ask(RULE, *FOUR, as_of="11-22 23:59").facts["value"] == 4
    assert ask(RULE, *FOUR, as_of="11-23 00:00").facts["value"] == 3


def test_a_visit_counts_on_the_date_of_its_start():
    assert ask(RULE, emer("2025-11-22 23:00", "2025-11-23 05:00")).facts["value"] == 0


def test_visits_that_became_stays_do_not_count():
    finding = ask(RULE, *FOUR, imp("10-01 10:00", "10-05 10:00"))
    assert (finding.facts["value"], finding.outcome) == (3, Outcome.NOT_ELIGIBLE)
    alone = ask(RULE, FOUR[3], imp("10-01 10:00", "10-05 10:00"))
    assert (alone.facts["value"], alone.reasons) == (0, ["became_stay"])


@pytest.mark.parametrize("loose", [emer("09-01 08:00"), running(emer("09-01 08:00"))])
def test_a_visit_that_is_open_or_has_no_end_counts_on_the_date_of_its_start(loose):
    assert ask(RULE, *FOUR[1:], loose).outcome is Outcome.ELIGIBLE


def test_a_forgotten_visit_that_flowed_into_a_stay_does_not_count():
    flowed = emer("09-01 08:00"), imp("09-01 12:00", "09-05 10:00")
    assert ask(RULE, *FOUR[1:], *flowed).facts["value"] == 3


def test_the_threshold_is_a_parameter():
    assert ask(RULE, *FOUR, ed_freq=5).flags == ["ed_watch"]
    assert ask(RULE, *FOUR[1:], ed_freq=3).outcome is Outcome.ELIGIBLE


def test_a_visit_dated_tomorrow_does_not_count_today():
    assert ask(RULE, *FOUR[1:], running(emer("11-23 08:00"))).facts["value"] == 3


@pytest.mark.parametrize("status", ["planned", "cancelled", "entered-in-error", "unknown"])
def test_visits_that_did_not_happen_do_not_count(status):
    assert ask(RULE, *FOUR[1:], emer("09-01 08:00", "09-01 10:00", status=status)).facts["value"] == 3


def test_an_unmapped_class_is_not_guessed_but_flagged():
    finding = ask(RULE, *FOUR[1:], enc("", "09-01 08:00", "09-01 10:00", classes=()))
    assert finding.facts["value"] == 3
    assert "dq_class_unmapped" in finding.flags


def test_a_start_of_a_month_is_left_out_with_a_flag():
    finding = ask(RULE, *FOUR[1:], emer("2026-09", None))
    assert (finding.facts["value"], "partial_date" in finding.flags) == (3, True)


def test_no_visits_are_no_stay():
    finding = ask(RULE)
    assert (finding.reasons, finding.facts["value"]) == (["no_stay"], 0)
