"""What is sent on each rung: readable by a nurse, valid FHIR R4, and to be found again."""

from __future__ import annotations

import base64

import pytest

from cm_service.errors import InvalidResource
from cm_service.fhir import vendor
from cm_service.fhir.vendor import NoteRules
from cm_service.flow.rungs import care_gap, communication, form, note
from cm_service.flow.rungs.copies import text_in, version_of
from cm_service.flow.rungs.wording import SHORTENED, Previous, core_in
from tests.flow.ladder_world import BASE, FORM, copy, goal, plan, said, task

MINE = (f"{BASE}/id/task", "A" * 32)


def test_a_note_says_what_a_nurse_needs_to_know() -> None:
    text = text_in(note.build(copy(), NoteRules()))
    assert text.splitlines() == [
        "Care management task: HbA1c outreach",
        f"cm-service id {BASE}/id/task|{'A' * 32} version 1",
        "",
        "HbA1c 8.6 % on 2026-11-10, target 7.0 %: call by 2026-11-27",
        "Status: requested",
        "Priority: asap",
        "Due: 2026-11-27",
        "For: care manager",
        "Found: Observation 8.6 % on 2026-11-10",
        "Also found: Condition diabetes on 2024-01-05",
    ]


def test_goals_travel_inside_their_plan_with_their_identifiers() -> None:
    built = note.build(copy(plan(), goals=[goal()], why=["HbA1c 8.6 %"]), NoteRules())
    text = text_in(built)
    assert "- HbA1c at or below 7.0 %, by 2027-02-20 (proposed)" in text
    assert text.endswith("Why:\n- HbA1c 8.6 %")
    assert [each["value"] for each in built["identifier"]] == ["P" * 32, "G" * 32]


def test_a_closed_goal_is_in_no_plan_any_more() -> None:
    text = text_in(note.build(copy(plan(), goals=[goal(lifecycleStatus="cancelled")]), NoteRules()))
    assert "Goals:" not in text


def test_a_note_is_plain_text_in_the_first_attachment_as_a_draft_until_somebody_accepted_it() -> None:
    built = note.build(copy(), NoteRules())
    (content,) = built["content"]
    assert content["attachment"]["contentType"].partition(";")[0] == "text/plain"
    assert base64.b64decode(content["attachment"]["data"]).decode() == copy().text()
    assert (built["status"], built["docStatus"]) == ("current", "preliminary")
    assert note.build(copy(draft=False), NoteRules())["docStatus"] == "final"
    assert "context" not in built
    hung = note.build(copy(encounter="Encounter/e1"), NoteRules())
    assert hung["context"] == {"encounter": [{"reference": "Encounter/e1"}]}


def test_a_long_note_is_shortened_visibly_and_keeps_its_identifier_line() -> None:
    long = task(input=[said("evidence", f"Observation/o{n}: {n} %") for n in range(200)])
    text = text_in(note.build(copy(long), NoteRules(max_characters=300)))
    assert len(text) <= 300
    assert text.endswith(SHORTENED)
    assert version_of(note.build(copy(long), NoteRules(max_characters=300)), *MINE) == 1
    with pytest.raises(InvalidResource):
        note.build(copy(long), NoteRules(max_characters=60))


def test_an_emr_that_takes_no_plain_text_gets_no_note() -> None:
    with pytest.raises(InvalidResource):
        note.build(copy(), NoteRules(formats=("application/pdf",)))
    assert note.takes_plain_text(vendor.load("oracle").note)


def test_a_newer_version_points_to_the_older_one_in_words_and_in_fhir() -> None:
    older = Previous(1, "2026-11-20", "DocumentReference/d1")
    built = note.build(copy(number=2, previous=older), NoteRules())
    assert "Supersedes version 1 of 2026-11-20 (DocumentReference/d1)" in text_in(built)
    assert built["relatesTo"] == [{"code": "replaces", "target": {"reference": "DocumentReference/d1"}}]
    assert version_of(built, *MINE) == 2


def test_a_withdrawal_is_short_and_gives_the_reason() -> None:
    ours = [{"system": "https://cm.example/CodeSystem/cm-status-reason", "code": "test_recent"}]
    reason = {"coding": ours, "text": "test_recent: the test has been done"}
    gone = task(status="cancelled", statusReason=reason)
    assert text_in(note.build(copy(gone, number=2), NoteRules())).splitlines()[3:] == [
        "Reason: test_recent: the test has been done",
        "Nothing is to be done any more.",
    ]
    revoked = plan(status="revoked", note=[{"text": "Withdrawn: nothing is left to be done"}])
    text = text_in(note.build(copy(revoked, goals=[goal()]), NoteRules()))
    assert text.startswith("WITHDRAWN: Care management plan")
    assert "Reason: nothing is left to be done" in text and "HbA1c" not in text


def test_what_a_person_completed_is_called_completed_with_its_outcome_and_the_note_stays_valid() -> None:
    done = task(
        status="completed",
        businessStatus={"text": "Reached"},
        executionPeriod={"end": "2026-11-21T09:00:00-05:00"},
    )
    built = note.build(copy(done, draft=False), NoteRules())
    lines = text_in(built).splitlines()
    assert lines[0] == "COMPLETED: Care management task: HbA1c outreach"
    assert lines[3:] == [
        "HbA1c 8.6 % on 2026-11-10, target 7.0 %: call by 2026-11-27",
        "Status: completed",
        "Outcome: Reached",
        "On: 2026-11-21",
        "Nothing is to be done any more.",
    ]
    assert (built["status"], built["docStatus"]) == ("current", "final")


def test_what_a_person_ended_otherwise_says_how_and_why_and_names_its_goals() -> None:
    lost = plan(status="revoked", note=[{"text": "Lost to follow-up"}])
    text = text_in(note.build(copy(lost, goals=[goal(lifecycleStatus="cancelled")]), NoteRules()))
    assert text.startswith("ENDED: Care management plan")
    assert "Status: revoked\nReason: Lost to follow-up\n- HbA1c at or below 7.0 %" in text
    assert "WITHDRAWN" not in text


def test_what_makes_a_new_version_is_what_a_nurse_needs_and_not_the_why_or_the_number() -> None:
    first = copy(plan(), goals=[goal()], why=["one"]).text()
    later = copy(plan(), goals=[goal()], why=["two"], number=2, previous=Previous(1, "2026-11-20", "D/1"))
    assert core_in(first) == core_in(later.text())
    other = copy(plan(), goals=[goal("HbA1c at or below 8.0 %")]).text()
    assert core_in(first) != core_in(other)


def test_a_form_answers_the_practices_questionnaire_and_is_found_again() -> None:
    built = form.build(copy(), FORM)
    assert built["questionnaire"] == FORM
    assert [item["linkId"] for item in built["item"]] == ["cm-title", "cm-text"]
    assert version_of(built, *MINE) == 1


def test_a_message_goes_to_whom_the_practice_named() -> None:
    assert "recipient" not in communication.build(copy(), None)
    built = communication.build(copy(), "Organization/pool")
    assert built["recipient"] == [{"reference": "Organization/pool"}]
    assert version_of(built, *MINE) == 1


def test_a_care_gap_is_open_done_or_excluded() -> None:
    def counts(status: str) -> list[int]:
        (group,) = care_gap.build(copy(task(status=status)), "A1C-OUT")["group"]
        return [each["count"] for each in group["population"]]

    assert counts("requested") == [1, 0, 0]
    assert counts("completed") == [1, 0, 1]
    assert counts("cancelled") == [1, 1, 0]


def test_a_resource_is_recognised_by_its_visible_line_where_identifiers_are_dropped() -> None:
    built = note.build(copy(number=3), NoteRules())
    del built["identifier"]
    assert version_of(built, *MINE) == 3
    assert version_of(built, MINE[0], "B" * 32) is None
    assert version_of({"resourceType": "DocumentReference", "content": []}, *MINE) is None


def test_the_notes_of_others_are_never_taken_for_ours() -> None:
    quoted = copy().text().replace("cm-service id", "see cm-service id")
    data = base64.b64encode(quoted.encode()).decode()
    strange = {
        "content": [{"attachment": {"data": data}}, {"attachment": {"data": "%%%"}}, {"attachment": {}}]
    }
    assert version_of(strange, *MINE) is None


def test_what_a_person_did_reads_as_it_was_logged() -> None:
    call = {
        "resourceType": "Encounter",
        "identifier": [{"system": f"{BASE}/id/encounter", "value": "E" * 32}],
        "status": "finished",
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-11-20T10:00:00-05:00"},
        "text": {
            "status": "generated",
            "div": "<div>Contact by phone: 12 min<br/>feels well &amp; walks</div>",
        },
    }
    assert text_in(note.build(copy(call), NoteRules())).splitlines()[3:] == [
        "Date: 2026-11-20",
        "Status: finished",
        "Contact by phone: 12 min",
        "feels well & walks",
    ]
