"""Diabetes as the HbA1c rules want it (rules.md 1.8, 3.2 to 3.6)."""

from __future__ import annotations

import pytest

from cm_service.rules.conditions import Diabetes, diabetes
from cm_service.rules.facts import AnyFact
from tests.rules.builders import at, condition, diagnosis, view


def ask(*facts: AnyFact) -> Diabetes:
    return diabetes(view(*facts), at())


def test_a_counted_diabetes_is_diabetes():
    answer = ask(condition("E11.9", version="3", recorded="2026-01-01"))
    assert answer.has and not answer.persisting and not answer.remission_only and answer.flags == ()
    (shown,) = answer.evidence
    assert (shown.type, shown.id, shown.version, shown.date) == ("Condition", "E11.9", "3", "2026-01-01")


def test_a_persisting_diabetes_is_diabetes_with_a_flag():
    answer = ask(diagnosis("E11.9", onset="2020-01-01"))
    assert answer.has and answer.persisting and answer.flags == ("persisting_encounter_diagnosis",)


def test_a_possible_diabetes_is_none():
    assert not ask(condition("E11.9", verification="provisional")).has


@pytest.mark.parametrize(
    "entry", [condition("E11.A"), condition("E11.9", clinical="remission"), diagnosis("e11a")]
)
def test_remission_alone_is_no_diabetes_but_known(entry: AnyFact):
    answer = ask(entry)
    assert not answer.has and answer.remission_only and len(answer.evidence) == 1


def test_remission_beside_a_counted_diabetes_is_not_the_only_word():
    answer = ask(condition("E11.A"), condition("E11.9"))
    assert answer.has and not answer.remission_only


def test_remission_beside_a_possible_diabetes_is_not_the_only_word_either():
    answer = ask(condition("E11.A"), condition("E11.9", verification="provisional"))
    assert not answer.has and not answer.remission_only


def test_conflicts_that_concern_the_chronic_count_alone_are_not_carried():
    assert ask(condition("E11.9", abatement="2025-01-01")).flags == ()


@pytest.mark.parametrize(
    "entry",
    [
        condition("E10.A0"),
        condition("E11.A", verification="refuted"),
        condition("E11.A", recorded="2027-01-01"),
        condition("R73.03"),
    ],
)
def test_what_is_no_remission(entry: AnyFact):
    answer = ask(entry)
    assert not answer.has and not answer.remission_only
