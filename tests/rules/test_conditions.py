"""Which Conditions count, or are only possible, one by one (rules.md 3.2, 3.3, 0.2)."""

from __future__ import annotations

import pytest

from cm_service.rules.clock import Clock
from cm_service.rules.conditions import Assessment, assess
from tests.rules.builders import at, condition, diagnosis, view
from tests.rules.condition_helpers import GERD, anemia, counted, found


def test_a_problem_list_entry_is_enough():
    assert counted(condition("E11.9")) == ["diabetes"]


def test_a_health_concern_has_the_strength_of_the_problem_list():
    assert counted(condition("E11.9", categories=("health-concern",))) == ["diabetes"]


def test_a_condition_that_names_nothing_chronic_is_not_looked_at():
    result = found(condition(GERD), condition("Z56.0", onset="2031"), condition("160903007"))
    assert result == Assessment({}, {}, {}, (), {})


@pytest.mark.parametrize("status", ["active", "recurrence", "relapse"])
def test_active_recurrence_and_relapse_count(status: str):
    assert counted(condition("E11.9", clinical=status)) == ["diabetes"]


@pytest.mark.parametrize("status", ["resolved", "inactive", "remission"])
def test_what_is_over_neither_counts_nor_is_listed(status: str):
    result = found(condition("E11.9", clinical=status))
    assert not result.counted and not result.possible and not result.persisting


def test_the_newer_status_unknown_does_not_count_and_is_listed_as_possible():
    result = found(condition("I10", clinical="unknown"))
    assert not result.counted and list(result.possible) == ["hypertension"] and not result.persisting


def test_remission_counts_for_a_cancer():
    assert counted(condition("C61", clinical="remission")) == ["cancer_prostate"]


@pytest.mark.parametrize("status", ["confirmed", ""])
def test_confirmed_or_missing_verification_counts(status: str):
    assert counted(condition("E11.9", verification=status)) == ["diabetes"]


@pytest.mark.parametrize("status", ["unconfirmed", "provisional", "differential"])
def test_an_unconfirmed_condition_is_possible_only(status: str):
    result = found(condition("I50.9", verification=status))
    assert not result.counted and not result.persisting and list(result.possible) == ["heart_failure"]


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_a_refuted_or_mistaken_condition_is_ignored(status: str):
    assert found(condition("E11.9", verification=status)) == found()


def test_a_history_code_does_not_count():
    assert counted(condition("C61"), condition("Z85.3")) == ["cancer_prostate"]


def test_an_unknown_category_of_the_resource_makes_it_possible_only():
    result = found(condition("E11.9", categories=("medical-history",)))
    assert not result.counted and list(result.possible) == ["diabetes"]


# Abatement (3.3)


def test_an_abatement_in_the_past_wins_over_active():
    result = found(condition("I10", abatement="2025-01-01"))
    assert not result.counted and not result.possible and result.flags == ("abatement_conflict",)


@pytest.mark.parametrize(
    ("abatement", "counts"),
    [
        ("2026-11-21", False),
        ("2026-11-22", False),
        ("2026-11-23", True),
        ("2026-11-22T14:59:59-05:00", False),
        ("2026-11-22T15:00:01-05:00", True),
        ("2026-10", False),
        ("2025", False),
        ("2026-12", True),
        ("2027", True),
    ],
)
def test_an_abatement_counts_unless_it_lies_in_the_future(abatement: str, counts: bool):
    assert bool(counted(condition("I10", abatement=abatement))) is counts


@pytest.mark.parametrize("abatement", ["2026-11", "2026"])
def test_a_partial_abatement_that_overlaps_today_persists(abatement: str):
    result = found(condition("I10", abatement=abatement))
    assert not result.counted and list(result.persisting) == ["hypertension"]
    assert result.flags == ("partial_date",)


def test_a_month_of_abatement_is_over_on_its_last_day():
    assert found(condition("I10", abatement="2026-11"), as_of="2026-11-30T12:00").persisting == {}


def test_an_abatement_that_is_no_date_says_over():
    assert found(condition("I10", abated=True)).flags == ("abatement_conflict",)


@pytest.mark.parametrize("status", ["", "resolved", "inactive"])
def test_an_abatement_contradicts_an_active_status_alone(status: str):
    assert found(diagnosis("I10", clinical=status, abatement="2025-01-01")).flags == ()


# Dates to come, and shapes of dates (0.2)


@pytest.mark.parametrize("field", ["onset", "recorded"])
def test_a_condition_dated_more_than_24_hours_ahead_is_ignored(field: str):
    ahead = found(condition("E11.9", **{field: "2026-11-23T15:00:01-05:00"}))
    assert not ahead.counted and not ahead.possible and ahead.flags == ("future_date",)
    assert counted(condition("E11.9", **{field: "2026-11-23T15:00:00-05:00"})) == ["diabetes"]


def test_a_time_without_offset_is_local_and_flagged():
    assert found(condition("E11.9", recorded="2026-03-02T10:00:00")).flags == ("dq_no_offset",)


def test_flags_of_the_resource_are_carried_where_it_was_looked_at():
    assert found(condition("E11.9", flags=("duplicate_version",))).flags == ("duplicate_version",)
    assert found(condition(GERD, flags=("duplicate_version",))).flags == ()


def test_a_clock_learns_when_the_assessment_will_change():
    clock: Clock = at()
    assess(view(anemia(onset="2026-09-01")), clock)
    assert clock.until == at("2027-09-01T00:00").as_of
