"""What our resources refer to is deleted in an EMR that refuses references which lead nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cm_service.db.engine import Database
from tests.flow.night_world import Json, Practice, condition, out_of_range, practice, stay


def ours(clinic: Practice, *codes: str) -> list[Json]:
    """Our Tasks with these codes as the EMR holds them."""
    return [clinic.held("Task", code) for code in codes]


def named(reference: Json) -> Any:
    """`Type/id` that a logical reference names."""
    assert "reference" not in reference
    return reference["identifier"]["value"]


def test_a_deleted_result_withdraws_its_task_and_goal(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.emr.clinician_delete("Observation", "p1-a1c")
        assert clinic.run()["refused"] == 0
        (task,) = ours(clinic, "a1c-outreach")
        assert (task["status"], named(task["reasonReference"])) == ("cancelled", "Observation/p1-a1c")
        assert clinic.held("Goal")["lifecycleStatus"] == "cancelled"
        assert clinic.run()["written"] == 0


def test_a_deleted_stay_withdraws_all_that_it_gave_rise_to(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range(), stay()]) as clinic:
        clinic.run()
        clinic.emr.clinician_delete("Encounter", "stay")
        assert clinic.run()["refused"] == 0
        codes = ("post-discharge-contact", "post-discharge-visit", "medication-reconciliation")
        for task in ours(clinic, *codes):
            assert (task["status"], named(task["focus"])) == ("cancelled", "Encounter/stay")
        assert clinic.held("CarePlan", "transition")["status"] == "revoked"
        assert clinic.run()["written"] == 0


def test_a_deleted_diagnosis_withdraws_the_goal_that_addresses_it(database: Database, tmp_path: Path) -> None:
    with practice(database, tmp_path, [*out_of_range(), condition("htn", "I10")]) as clinic:
        clinic.run()
        assert clinic.held("Goal")["addresses"] == [{"reference": "Condition/p1-dm"}]
        clinic.emr.clinician_delete("Condition", "p1-dm")
        assert clinic.run(full=True)["refused"] == 0
        goal = clinic.held("Goal")
        assert (goal["lifecycleStatus"], named(goal["addresses"][0])) == ("cancelled", "Condition/p1-dm")
        assert clinic.run()["written"] == 0


@pytest.mark.parametrize("kind", ["CarePlan", "Goal"])
def test_a_task_goes_on_without_the_plan_or_goal_that_somebody_deleted(
    database: Database, tmp_path: Path, kind: str
) -> None:
    with practice(database, tmp_path, out_of_range()) as clinic:
        clinic.run()
        clinic.emr.clinician_delete(kind, clinic.row(kind).reference.partition("/")[2])
        clinic.emr.clinician_edit(
            "Observation", "p1-a1c", lambda found: found["valueQuantity"].update(value=9.8)
        )
        assert clinic.run()["refused"] == 0
        (task,) = ours(clinic, "a1c-outreach")
        assert (task["priority"], {"CarePlan": "basedOn", "Goal": "focus"}[kind] in task) == ("urgent", False)
