"""Vendor profiles are data with a source and a date; a new EMR is a new file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cm_service.errors import BadInput
from cm_service.fhir import vendor
from cm_service.fhir.resource_types import RESOURCE_TYPES
from cm_service.fhir.vendor import Answer, Precondition, Rung, Verb

KNOWN = (
    *("athena", "canvas", "ecw", "elation", "epic", "hapi", "meditech", "medplum"),
    *("nextgen-enterprise", "nextgen-office", "oracle"),
)
WRITES = (Verb.CREATE, Verb.UPDATE, Verb.PATCH)
PLAN_TYPES = ("CarePlan", "Goal")


def answer(profile: str, resource: str, verb: str) -> Answer:
    return vendor.load(profile).allows(resource, verb).answer


def write(folder: Path, **changed: Any) -> Path:
    said = {"name": "new", "title": "New EMR", "source": "its documentation", "date": "2026-11-20"} | changed
    (folder / "new.json").write_text(json.dumps(said))
    return folder


def test_there_is_one_file_for_each_emr_that_was_looked_at() -> None:
    assert tuple(vendor.names()) == KNOWN


@pytest.mark.parametrize("name", KNOWN)
def test_a_profile_has_a_source_a_date_and_speaks_of_fhir_types(name: str) -> None:
    profile = vendor.load(name)
    assert profile.source and profile.title and profile.date.startswith("20")
    named = {kind for rule in profile.rules for kind in rule.resources if kind != vendor.ANY}
    named |= {kind for rule in profile.required_search for kind in rule.resources if kind != vendor.ANY}
    assert named | set(profile.holding_tank) <= RESOURCE_TYPES
    assert set(profile.rungs) == set(Rung), "each rung is said to exist, not to exist, or to be unknown"


@pytest.mark.parametrize("name", [name for name in KNOWN if name not in ("medplum", "hapi", "elation")])
def test_no_mainstream_emr_lets_a_third_party_create_a_care_plan_or_a_goal(name: str) -> None:
    assert {answer(name, kind, Verb.CREATE) for kind in PLAN_TYPES} == {Answer.NO}
    assert vendor.load(name).rung(Rung.CARE_PLAN).answer == Answer.NO


def test_only_three_kinds_of_emr_take_a_task() -> None:
    takers = [name for name in KNOWN if answer(name, "Task", Verb.CREATE) == Answer.YES]
    assert takers == ["canvas", "hapi", "medplum"]
    assert takers == [name for name in KNOWN if vendor.load(name).rung(Rung.TASK).answer == Answer.YES]


def test_a_rung_that_exists_has_a_create_behind_it() -> None:
    behind = {
        Rung.TASK: ("Task", Verb.CREATE),
        Rung.CARE_PLAN: ("CarePlan", Verb.CREATE),
        Rung.CARE_GAP: ("MeasureReport", Verb.SUBMIT_CARE_GAPS),
        Rung.QUESTIONNAIRE_RESPONSE: ("QuestionnaireResponse", Verb.CREATE),
        Rung.DOCUMENT_REFERENCE: ("DocumentReference", Verb.CREATE),
        Rung.COMMUNICATION: ("Communication", Verb.CREATE),
    }
    for name in KNOWN:
        for rung, pair in behind.items():
            if vendor.load(name).rung(rung).answer == Answer.YES:
                assert answer(name, *pair) == Answer.YES, (name, rung)


def test_epic_takes_a_plain_note_on_an_existing_encounter_and_hides_what_it_holds_back() -> None:
    epic = vendor.load("epic")
    assert (epic.note.encounter, epic.note.formats) == (Answer.YES, ("text/plain",))
    assert epic.note.first_attachment_only
    assert answer("epic", "DocumentReference", "update") == Answer.UNKNOWN
    assert epic.is_already_there("59189") and epic.is_already_there("59141")
    assert not epic.is_already_there("59012")
    assert epic.holding_tank == ("AllergyIntolerance", "Condition")
    assert (epic.id_length, epic.precondition) == (88, Precondition.NONE)
    assert epic.identifiers_kept.answer == Answer.NO
    assert epic.needed_for_search("Encounter") == ("patient", "_id")
    assert epic.needed_for_search("EpisodeOfCare") == ("type",)


def test_ecw_lets_a_practice_call_250_times_a_minute() -> None:
    limit = vendor.load("ecw").rate_limit
    assert limit is not None
    assert (limit.calls, limit.seconds, limit.per) == (250, 60, "practice")
    assert vendor.load("oracle").rate_limit is None


def test_each_emr_guards_versions_in_its_own_way() -> None:
    styles = {name: str(vendor.load(name).precondition) for name in KNOWN}
    assert styles["canvas"] == "if-unmodified-since"
    assert {styles[name] for name in ("oracle", "medplum", "hapi")} == {"etag"}
    assert {styles[name] for name in ("athena", "ecw", "elation", "meditech")} == {"unknown"}


def test_last_updated_is_told_per_type() -> None:
    def support(name: str, kind: str) -> str | None:
        said = vendor.load(name).last_updated_of(kind)
        return said.support if said else None

    assert (support("oracle", "Encounter"), support("oracle", "CarePlan")) == ("instant", "none")
    assert support("oracle", "Task") is None
    assert (support("athena", "Encounter"), support("epic", "Patient")) == ("date", "none")


def test_elation_is_known_beside_fhir_only() -> None:
    elation = vendor.load("elation")
    assert not elation.rules
    assert {answer("elation", kind, verb) for kind in PLAN_TYPES for verb in WRITES} == {Answer.UNKNOWN}
    assert "non_visit_notes" in {row.name for row in elation.rest}


def test_a_type_that_is_named_goes_before_the_rest() -> None:
    assert answer("ecw", "QuestionnaireResponse", Verb.CREATE) == Answer.YES
    assert answer("ecw", "Immunization", Verb.CREATE) == Answer.NO
    assert answer("epic", "Immunization", Verb.CREATE) == Answer.UNKNOWN


def test_without_a_profile_everything_is_unknown() -> None:
    assert vendor.load(None).allows("Task", Verb.CREATE).answer == Answer.UNKNOWN
    assert vendor.load("").rung(Rung.TASK).answer == Answer.UNKNOWN
    assert vendor.load(None).needed_for_search("Task") == ()


def test_a_new_emr_is_a_new_file(tmp_path: Path) -> None:
    rule = {"resources": ["Task"], "verbs": ["create"], "allowed": "yes", "note": "by contract"}
    folder = write(tmp_path, rules=[rule])
    assert "new" in vendor.names(folder)
    said = vendor.load("new", extra=folder).allows("Task", Verb.CREATE)
    assert (said.answer, said.note) == (Answer.YES, "by contract")
    with pytest.raises(BadInput, match="no vendor profile new; known are athena"):
        vendor.load("new")


def test_a_file_of_ones_own_goes_before_one_of_ours(tmp_path: Path) -> None:
    own = {"name": "epic", "title": "Ours", "source": "our contract", "date": "2026-11"}
    (tmp_path / "epic.json").write_text(json.dumps(own))
    assert vendor.load("epic", extra=tmp_path).title == "Ours"
    assert vendor.load("epic").title == "Epic"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "other"}, "the name must be that of the file"),
        ({"date": "last week"}, "is no vendor profile"),
        ({"colour": "blue"}, "is no vendor profile"),
        ({"rules": [{"resources": ["Task"], "verbs": ["shred"], "allowed": "yes"}]}, "is no vendor profile"),
        ({"rules": [{"resources": ["Task"], "verbs": ["read"], "allowed": "maybe"}]}, "is no vendor profile"),
        (
            {"rules": [{"resources": ["Task", "Task"], "verbs": ["read"], "allowed": "no"}]},
            "says twice what it allows: Task read",
        ),
    ],
)
def test_a_file_that_is_no_profile_is_refused_with_its_place(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    folder = write(tmp_path, **changed)
    with pytest.raises(BadInput, match=words):
        vendor.load("new", extra=folder)


def test_a_profile_that_was_edited_is_read_again(tmp_path: Path) -> None:
    assert vendor.load("new", extra=write(tmp_path)).title == "New EMR"
    os.utime(write(tmp_path, title="Newer EMR") / "new.json", ns=(1, 1))
    assert vendor.load("new", extra=tmp_path).title == "Newer EMR"
