"""The REST API: what integrators read and do, and how it refuses."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from cm_service.db.tables import Placement
from tests.api.door_world import NOW, Machine, add_emr, bearer, register
from tests.api.practice_world import OpenPractice

ONE = "/v1/emrs/clinic/patients/p1"
CONSENT = {"decision": "agree", "form": "verbal", "text_version": "1", "at": NOW.isoformat()}


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[OpenPractice]:
    yield OpenPractice(tmp_path)


def test_decisions_come_with_their_evidence(practice: OpenPractice) -> None:
    answer = practice.call("GET", f"{ONE}/decisions", params={"rule": "A1C-OUT"})
    (decision,) = answer.json()["items"]
    assert (decision["outcome"], decision["evidence"][0]["id"]) == ("eligible", "p1-a1c")


def test_a_whole_case_goes_through_and_the_emr_holds_it(practice: OpenPractice) -> None:
    (candidate,) = practice.call("GET", "/v1/emrs/clinic/candidates").json()["items"]
    assert candidate["patient"] == "p1" and "CHR-MULTI" in candidate["rules"]
    enrolment = practice.act("acceptance", {"care_manager": "Practitioner/n"})["enrolment"]
    practice.act("consents", CONSENT)
    seen = practice.call("GET", ONE).json()
    assert seen["enrolments"][0]["status"] == "active"
    practice.act("goals", {"goal": seen["goals"][0]["id"], "importance": 8, "confidence": 8})
    outreach = next(task for task in seen["tasks"] if task["code"] == "a1c-outreach")
    practice.act(
        "contacts",
        {
            "at": NOW.isoformat(),
            "minutes": 10,
            "medium": "phone",
            "service": "outreach",
            "reached": True,
            "task": outreach["id"],
            "task_done": True,
        },
    )
    practice.doors.now += dt.timedelta(minutes=11)
    practice.night()
    kinds = {version.type for version in practice.emr.written()}
    assert kinds >= {"CarePlan", "Goal", "Task", "Consent", "Encounter"}
    assert practice.call("GET", ONE).status_code == 401, "a token lives for five minutes"
    practice.headers = bearer(practice.doors, practice.machine)
    answer = practice.call("GET", f"/v1/emrs/clinic/enrolments/{enrolment}")
    assert answer.json()["consents"][0]["decision"] == "agree" and answer.headers["ETag"]


def test_an_act_is_taken_back_within_its_minutes(practice: OpenPractice) -> None:
    act = practice.act("decline", {"reason": "not now", "days": 30})
    assert practice.call("DELETE", f"/v1/emrs/clinic/acts/{act['id']}").status_code == 204
    practice.act("acceptance", {"care_manager": "Practitioner/n"})


def test_the_same_key_gives_the_same_answer_and_another_request_under_it_is_refused(
    practice: OpenPractice,
) -> None:
    key = {"Idempotency-Key": "k1"}
    calls = [
        practice.call("POST", f"{ONE}/referrals", json={"reason": why}, headers=key)
        for why in ("fell twice", "fell twice", "something else")
    ]
    assert [call.status_code for call in calls] == [201, 201, 422]
    assert calls[0].json() == calls[1].json()


def test_a_changed_enrolment_is_412_for_whoever_saw_an_older_one(practice: OpenPractice) -> None:
    practice.act("acceptance", {"care_manager": "Practitioner/n"})
    practice.act("consents", CONSENT)
    answer = practice.call("POST", f"{ONE}/consents", json=CONSENT, headers={"If-Match": '"1"'})
    assert answer.status_code == 412


def test_what_a_client_may_not_see_is_not_there(practice: OpenPractice) -> None:
    add_emr(practice.doors, "other")
    stranger = register(practice.doors, Machine("stranger"), emrs=["other"])
    headers = bearer(practice.doors, stranger)
    for path in (ONE, f"{ONE}/decisions", "/v1/emrs/clinic", "/v1/emrs/clinic/ledger", "/v1/emrs/nowhere"):
        assert practice.doors.http.get(path, headers=headers).status_code == 404, path
    items = practice.doors.http.get("/v1/worklist", headers=headers).json()["items"]
    assert items == []


def test_a_missing_scope_is_403_before_the_body_is_looked_at(practice: OpenPractice) -> None:
    reader = register(practice.doors, Machine("reader"), scope="system/*.rs")
    headers = bearer(practice.doors, reader) | {"Content-Type": "application/json"}
    answer = practice.doors.http.post(f"{ONE}/decline", headers=headers, content=b"{nonsense")
    assert answer.status_code == 403 and "insufficient_scope" in answer.headers["WWW-Authenticate"]


def test_every_access_to_a_patient_is_in_the_audit(practice: OpenPractice) -> None:
    practice.call("GET", ONE, headers={"X-Request-Id": "request-0001"})
    practice.call("GET", "/v1/worklist")
    lines = practice.doors.audit()
    assert {(line.patient_id, line.action) for line in lines[:2]} == {("p1", "worklist_"), ("p1", "patient_")}
    assert lines[1].request_id == "request-0001" and lines[1].who == "nurse-app"


def test_a_night_starts_over_http_and_its_figures_are_there_afterwards(practice: OpenPractice) -> None:
    answer = practice.call("POST", "/v1/emrs/clinic/syncs", json={"as_of": NOW.isoformat()})
    assert answer.status_code == 202, answer.text
    for _ in range(100):
        (newest, *_) = practice.call("GET", "/v1/emrs/clinic/syncs").json()["items"]
        if newest["status"] != "running" and newest["id"] > 1:
            break
        time.sleep(0.1)
    assert newest["figures"]["written"] == 0


def test_a_bundle_is_judged_and_nothing_is_kept(practice: OpenPractice) -> None:
    from tests.flow.night_world import out_of_range

    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": each} for each in out_of_range("stranger")],
    }
    body = {"bundle": bundle, "timezone": "America/Detroit", "as_of": NOW.isoformat()}
    items = practice.call("POST", "/v1/evaluate", json=body).json()["items"]
    assert {item["rule"]: item["outcome"] for item in items}["A1C-OUT"] == "eligible"
    assert practice.call("GET", "/v1/emrs/clinic/patients/stranger").status_code == 404


def test_everybody_who_was_judged_is_listed_page_by_page(practice: OpenPractice) -> None:
    (one,) = practice.call("GET", "/v1/emrs/clinic/patients").json()["items"]
    assert one["patient"] == "p1" and "A1C-OUT" in one["eligible"]
    page = practice.call("GET", "/v1/emrs/clinic/patients", params={"limit": 1}).json()
    assert "p1" not in page["next"]
    after = practice.call("GET", "/v1/emrs/clinic/patients", params={"cursor": page["next"]})
    assert after.json() == {"items": [], "next": None}
    assert practice.call("GET", "/v1/emrs/clinic/patients", params={"cursor": "x"}).status_code == 422


def test_a_person_resolves_a_write_that_nobody_can_look_up(practice: OpenPractice) -> None:
    (one, *_) = practice.call("GET", "/v1/emrs/clinic/ledger").json()["items"]
    path = f"/v1/emrs/clinic/ledger/{one['id']}/resolution"
    assert practice.call("POST", path, json={"outcome": "not-written"}).status_code == 422, "it is known"
    with practice.doors.store.write() as connection:
        connection.execute(
            sa.update(Placement).where(Placement.intent_id == one["id"]).values(state="unknown")
        )
    assert practice.call("POST", path, json={"outcome": "written"}).status_code == 422
    wrong = {"outcome": "written", "reference": f"{one['kind']}/nothing"}
    assert practice.call("POST", path, json=wrong).status_code == 422
    right = {"outcome": "written", "reference": one["reference"]}
    answer = practice.call("POST", path, json=right)
    assert (answer.status_code, answer.json()["state"]) == (200, "written"), answer.text
    add_emr(practice.doors, "other")
    elsewhere = practice.call("POST", path.replace("clinic", "other"), json=right)
    assert elsewhere.status_code == 404


def test_without_an_enrolment_no_version_of_it_can_match(practice: OpenPractice) -> None:
    answer = practice.call("POST", f"{ONE}/consents", json=CONSENT, headers={"If-Match": '"1"'})
    assert answer.status_code == 412


def test_what_only_reads_is_kept_under_no_key(practice: OpenPractice) -> None:
    body = {"bundle": {"resourceType": "Bundle", "type": "collection"}, "timezone": "America/Detroit"}
    for _ in range(2):
        answer = practice.call("POST", "/v1/evaluate", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200 and "Idempotent-Replayed" not in answer.headers
