"""Which HbA1c results count and which one is the newest (rules.md 1.1, 1.3, 1.4, 1.6, 0.2)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from cm_service.rules.a1c_results import Results, results
from cm_service.rules.facts import AnyFact, SpecimenFact
from tests.rules.builders import a1c, at, reading, view, when


def found(*facts: AnyFact, as_of: str = "2026-11-22T15:00", **changes: Any) -> Results:
    return results(view(*facts, **changes), at(as_of))


def newest(*facts: AnyFact, **changes: Any) -> str | None:
    one = found(*facts, **changes).newest
    return one.fact.id if one else None


@pytest.mark.parametrize("status", ["final", "amended", "corrected"])
def test_a_finished_result_is_usable(status: str):
    assert found(a1c("7.6", status=status)).newest is not None


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "unknown", ""])
def test_any_other_status_is_as_if_it_did_not_exist(status: str):
    assert found(a1c("7.6", status=status), a1c("unit_wrong", status=status)) == Results()


def test_the_latest_day_wins_whatever_its_value():
    assert newest(a1c("9.0", "2026-11-09"), a1c("6.0", "2026-11-10")) == "6.0 of 2026-11-10"


def test_on_one_day_the_latest_instant_wins_if_all_have_a_time():
    early = a1c("6.0", "2026-11-10T08:00:00-05:00", status="corrected")
    assert newest(early, a1c("9.0", "2026-11-10T09:00:00-05:00")) == "9.0 of 2026-11-10T09:00:00-05:00"


def test_a_time_without_offset_is_local_and_flagged():
    answer = found(a1c("6.0", "2026-11-10T08:00:00"), a1c("9.0", "2026-11-10T12:30:00Z"))
    assert answer.newest and answer.newest.fact.id == "6.0 of 2026-11-10T08:00:00"
    assert answer.flags == ("dq_no_offset",)


def test_the_local_day_counts_not_the_written_one():
    """03:00 UTC is still the day before in Detroit."""
    night = a1c("9.0", "2026-11-11T03:00:00Z")
    assert newest(night, a1c("6.0", "2026-11-10", status="corrected")) == "6.0 of 2026-11-10"


@pytest.mark.parametrize(("better", "worse"), [("corrected", "amended"), ("amended", "final")])
def test_without_a_time_on_all_the_more_corrected_one_wins(better: str, worse: str):
    timed = a1c("6.0", "2026-11-10T09:00:00-05:00", status=worse, issued="2026-11-12T09:00:00Z")
    assert newest(timed, a1c("9.0", "2026-11-10", status=better)) == "9.0 of 2026-11-10"


def test_then_the_latest_issued_wins():
    first = a1c("6.0", issued="2026-11-11T09:00:00Z")
    assert newest(first, a1c("9.0", issued="2026-11-11T10:00:00Z")) == "9.0 of 2026-11-10"
    assert newest(first, a1c("5.0", issued=None)) == "6.0 of 2026-11-10"


def test_then_the_lowest_value_wins():
    assert newest(a1c("9.0"), a1c("6.0"), a1c("7.0")) == "6.0 of 2026-11-10"


def test_dual_reporting_is_one_result_and_the_native_percent_speaks():
    instant = "2026-11-10T08:00:00-05:00"
    native, converted = a1c("7.1", instant), a1c("53 mmol/mol", instant, code="59261-8", status="corrected")
    assert newest(native, converted) == native.id


def test_values_more_than_a_tenth_apart_are_two_results():
    instant = "2026-11-10T08:00:00-05:00"
    native, converted = a1c("7.2", instant), a1c("53 mmol/mol", instant)
    assert newest(native, converted) == converted.id
    assert newest(a1c("6.8", instant), converted) == f"6.8 of {instant}"


def test_different_bounds_do_not_agree():
    instant = "2026-11-10T08:00:00-05:00"
    converted = a1c("130 mmol/mol", instant, status="corrected")
    assert newest(a1c(">14.0", instant), converted) == converted.id


def test_dual_reporting_needs_the_same_instant():
    assert newest(a1c("7.1"), a1c("53 mmol/mol")) == "53 mmol/mol of 2026-11-10"


def test_a_result_of_24_months_ago_counts_and_one_a_day_older_does_not():
    assert newest(a1c("7.6", "2024-11-22")) == "7.6 of 2024-11-22"
    assert found(a1c("7.6", "2024-11-21")) == Results()


def test_what_is_too_old_leaves_no_flag():
    assert found(a1c("unit_wrong", "2024-11-21"), a1c("7.6", "2024-10")).flags == ()


def test_a_month_yields_to_a_day_within_it_and_beats_an_earlier_day():
    assert newest(a1c("9.0", "2026-10"), a1c("6.0", "2026-10-01")) == "6.0 of 2026-10-01"
    assert newest(a1c("9.0", "2026-10"), a1c("6.0", "2026-09-30")) == "9.0 of 2026-10"
    assert newest(a1c("9.0", "2026"), a1c("6.0", "2026-01")) == "6.0 of 2026-01"


def test_a_partial_date_is_flagged():
    assert found(a1c("7.6", "2026-10")).flags == ("partial_date",)


def test_a_result_more_than_a_day_ahead_is_ignored_and_flagged():
    answer = found(a1c("9.9", "2026-12-20"), a1c("6.7"))
    assert answer.newest and answer.newest.fact.id == "6.7 of 2026-11-10"
    assert answer.flags == ("future_date",)


def test_a_result_of_tomorrow_morning_is_believed():
    ahead = a1c("9.9", "2026-11-23T15:00:00-05:00")
    assert newest(ahead) == ahead.id
    assert newest(a1c("9.9", "2026-11-23T15:00:01-05:00")) is None


def test_without_effective_date_the_specimen_dates_the_result():
    specimen = SpecimenFact(id="s", collected=when("2026-11-01"))
    answer = found(a1c("7.6", None, specimen="Specimen/s", issued="2026-11-05T09:00:00Z"), specimen)
    assert answer.newest and answer.newest.when.raw == "2026-11-01"
    assert answer.flags == ("dq_effective_missing",)


@pytest.mark.parametrize("specimen", [None, "Specimen/unknown"])
def test_without_specimen_the_issue_dates_the_result(specimen: str | None):
    other = SpecimenFact(id="s", collected=when("2026-11-01"))
    answer = found(a1c("7.6", None, specimen=specimen, issued="2026-11-05T09:00:00Z"), other)
    assert answer.newest and answer.newest.when.raw == "2026-11-05T09:00:00Z"
    assert answer.flags == ("dq_effective_missing",)


def test_the_last_update_never_dates_a_result():
    answer = found(a1c("7.6", None, updated="2026-11-05T09:00:00Z"))
    assert (answer.newest, answer.newest_test, answer.flags) == (None, None, ("undated",))
    assert len(answer.undated) == 1


def test_a_missing_value_without_a_date_is_nothing():
    assert found(a1c("", None)) == Results()


def test_a_newer_unusable_result_is_flagged_and_the_usable_one_decides():
    answer = found(a1c("7.6", "2026-11-01"), a1c("unit_wrong", "2026-11-02"))
    assert answer.newest and answer.newest.fact.id == "7.6 of 2026-11-01"
    assert answer.flags == ("newer_unusable_result", "unit_wrong")
    assert answer.newest_test and answer.newest_test.fact.id == "unit_wrong of 2026-11-02"


@pytest.mark.parametrize("on", ["2026-10-31", "2026-11-01", "2026", None])
def test_an_unusable_result_that_is_not_surely_newer_is_not_flagged_so(on: str | None):
    answer = found(a1c("7.6", "2026-11-01"), a1c("unit_wrong", on))
    assert "newer_unusable_result" not in answer.flags
    assert answer.newest_test and answer.newest_test.fact.id == "7.6 of 2026-11-01"


def test_on_one_day_instants_tell_which_is_newer():
    usable, broken = a1c("7.6", "2026-11-01T08:00:00-05:00"), a1c("unit_wrong", "2026-11-01T09:00:00-05:00")
    assert "newer_unusable_result" in found(usable, broken).flags


def test_unusable_results_alone_are_not_newer_than_anything():
    answer = found(a1c("implausible"))
    assert answer.flags == ("implausible",)
    assert [one.fact.id for one in answer.unusable] == ["implausible of 2026-11-10"]


def test_a_missing_value_is_no_test_and_no_unusable_result():
    answer = found(a1c("7.6", "2026-11-01"), a1c("", "2026-11-02"))
    assert answer.flags == () and answer.unusable == ()
    assert answer.newest_test == answer.newest


@pytest.mark.parametrize("status", ["registered", "preliminary"])
def test_a_pending_result_is_flagged_and_does_not_decide(status: str):
    answer = found(a1c("7.6", "2026-11-01"), a1c("9.9", "2026-11-10", status=status))
    assert answer.newest and answer.newest.fact.id == "7.6 of 2026-11-01"
    assert answer.flags == ("pending_newer_result",) and answer.pending_open is True


def test_a_pending_result_speaks_through_day_14():
    pending = a1c("", "2026-11-08", status="registered")
    assert found(pending, as_of="2026-11-22T23:59:59").pending_open is True
    assert found(pending, as_of="2026-11-23T00:00:00") == Results()


def test_a_pending_result_that_is_not_newer_is_not_flagged():
    answer = found(a1c("7.6"), a1c("", "2026-11-10", status="registered"))
    assert (answer.pending, answer.flags) == (None, ())


def test_a_pending_result_of_a_vague_date_may_or_may_not_be_open():
    answer = found(a1c("", "2026-11", status="registered"))
    assert answer.pending_open is None
    assert answer.flags == ("partial_date", "pending_newer_result")
    assert found(a1c("", "2026-10", status="registered")) == Results()


def test_a_surely_open_pending_result_goes_before_a_newer_vague_one():
    answer = found(a1c("", "2026-11", status="registered"), a1c("", "2026-11-12", status="registered"))
    assert answer.pending_open is True


@pytest.mark.parametrize(("family", "switch"), [("jds", "a1c_accept_jds"), ("gmi", "a1c_accept_gmi")])
def test_other_scales_count_only_where_the_practice_wants_them(family: str, switch: str):
    one = a1c("7.6", reading=reading("7.6", family=family))
    assert found(one) == Results()
    assert newest(one, **{switch: True}) == one.id


def test_a_component_qualifies_an_observation_of_another_code():
    assert found(a1c("7.6", code="58410-2")).newest is not None


def test_an_observation_that_is_no_hba1c_is_left_alone():
    assert found(a1c("7.6", reading=None)) == Results()


def test_flags_of_the_value_are_carried_by_every_result_that_was_looked_at():
    first = a1c("7.6", "2026-03-01", flags=("unit_assumed_percent",))
    second = a1c("54 mmol/mol", flags=("unit_code_mismatch",))
    assert found(first, second).flags == ("unit_assumed_percent", "unit_code_mismatch")


def test_the_percent_is_a_decimal():
    one = found(a1c("54 mmol/mol")).newest
    assert one and one.reading.percent == Decimal("7.1")


def test_equal_results_are_told_apart_by_id_whatever_their_order():
    one, two = a1c("7.6", id="a"), a1c("7.6", id="b")
    assert newest(one, two) == newest(two, one) == "a"
