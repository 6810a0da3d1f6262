"""Nights that read only what changed, on a FHIR server that nobody here wrote: one correction, one
discharge and one deletion change exactly the decisions that they concern."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from tests.flow.night_world import Json, a1c, condition, diabetes, patient, stay
from tests.foreign.clinic import Clinic, quantity
from tests.real import loading
from tests.real.command import Home

pytestmark = pytest.mark.foreign_emr

CORRECTED, DISCHARGED, DELETED, QUIET = "chg-corrected", "chg-discharged", "chg-deleted", "chg-quiet"
WHO = (CORRECTED, DISCHARGED, DELETED, QUIET)
DecisionOf = dict[tuple[str, str], dict[str, Any]]


def world(now: dt.datetime) -> list[Json]:
    """Dates are counted from today, because the server stamps what it stores with its own clock."""
    lately = {"effectiveDateTime": (now - dt.timedelta(days=10)).date().isoformat()}
    begun = {"start": (now - dt.timedelta(days=3)).isoformat()}
    return [
        *(patient(who) for who in WHO),
        *(diabetes(who) for who in WHO),
        *(condition(f"{who}-htn", "I10", who) for who in WHO),
        *(a1c(8.6, who=who, **lately) for who in WHO),
        stay("chg-stay", DISCHARGED, status="in-progress", period=begun, hospitalization=None),
    ]


def changed(before: DecisionOf, after: DecisionOf) -> set[str]:
    """Patients of whom any decision is another one now."""
    timeless = {"as_of", "stable_until"}

    def bare(decision: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in decision.items() if name not in timeless}

    return {who for who, rule in before if bare(before[who, rule]) != bare(after[who, rule])}


def test_exactly_what_a_correction_a_discharge_and_a_deletion_concern_changes(
    foreign_emr: str, tmp_path: Path
) -> None:
    now = dt.datetime.now(dt.UTC)
    loading.empty(foreign_emr)
    resources = [{k: v for k, v in each.items() if v is not None} for each in world(now)]
    loading.load(foreign_emr, resources)
    clinic, home = Clinic(foreign_emr), Home(tmp_path / "data")
    home.add(clinic.base_url)

    def night(*options: str) -> dict[str, Any]:
        return home.night(*options, as_of=dt.datetime.now(dt.UTC).isoformat())

    night()
    assert night()["written"] == 0
    before = home.decisions()
    assert {who for who, _ in before} == set(WHO)

    clinic.edit(clinic.result(CORRECTED), status="corrected", valueQuantity=quantity(6.4))
    ended = {"start": resources[-1]["period"]["start"], "end": (now - dt.timedelta(hours=5)).isoformat()}
    clinic.edit(clinic.read("Encounter/chg-stay"), status="finished", period=ended)
    clinic.delete(clinic.read(f"Condition/{DELETED}-htn"))
    told = night()
    after = home.decisions()
    assert told["types"]["Condition"]["changes_only"], told["types"]["Condition"]
    assert told["sample"]["wrong"] == 0
    assert changed(before, after) - {DELETED} == {CORRECTED, DISCHARGED}
    assert after[CORRECTED, "A1C-OUT"]["reasons"] == ["at_target"]
    assert after[DISCHARGED, "DIS-TCM"]["outcome"] == "eligible"

    told = night("--full")
    last = home.decisions()
    assert "changes_only" not in told["types"]["Condition"]
    assert changed(before, last) == {CORRECTED, DISCHARGED, DELETED}
    assert last[DELETED, "CHR-MULTI"] != before[DELETED, "CHR-MULTI"]
    clinic.http.close()
