"""Records under R, V and 42 CFR Part 2 are on no worklist, card, page or API answer without a scope."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from cm_service.db import connections, webhooks, worklist
from cm_service.flow import notices
from tests.api.chart_world import Chart
from tests.api.door_world import NOW
from tests.api.labels_world import PART_2, WORLD, Labelled, R, marks, under
from tests.api.page_world import open_page
from tests.flow.night_world import a1c, patient

CONSENT = {"decision": "agree", "form": "verbal", "text_version": "1", "at": NOW.isoformat()}
PEOPLE = ("p1", "p2", "hid-3", "p4")
# Whose calls these are is another question than what a record says: docs/adr/0015-confidentiality.md.
EXEMPT = {"/v1/emrs/{emr}/fhir/AuditEvent"}


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[Labelled]:
    yield Labelled(tmp_path)


def every_read(practice: Labelled) -> Iterator[str]:
    """Every GET of the OpenAPI document, with every patient and the first ids."""
    document = practice.doors.app.openapi()
    for path, operations in document["paths"].items():
        if "get" not in operations or not path.startswith("/v1") or path in EXEMPT:
            continue
        names = [each["name"] for each in operations["get"].get("parameters", []) if each.get("required")]
        values = [_values(name) for name in names]
        for chosen in product(*values):
            given = dict(zip(names, chosen, strict=True))
            yield _filled(path, given)


def _filled(path: str, given: dict[str, str]) -> str:
    filled = re.sub(r"\{(\w+)\}", lambda found: given.pop(found[1]), path)
    return filled + ("?" + "&".join(f"{k}={v}" for k, v in given.items()) if given else "")


def _values(name: str) -> tuple[str, ...]:
    if name == "emr":
        return ("clinic",)
    return PEOPLE if name == "patient" else tuple(map(str, range(1, 13)))


def read_all(practice: Labelled, headers: dict[str, str]) -> dict[str, str]:
    answers = {path: practice.doors.http.get(path, headers=headers) for path in every_read(practice)}
    assert not [path for path, answer in answers.items() if answer.status_code >= 500]
    return {path: answer.text for path, answer in answers.items() if answer.status_code == 200}


def test_no_read_of_the_api_shows_what_is_under_a_label(practice: Labelled) -> None:
    practice.headers = practice.cleared
    for who in ("p1", "p2", "hid-3"):
        practice.act("acceptance", {"care_manager": "Practitioner/n"}, patient=who)
        practice.act("consents", CONSENT, patient=who)
    seen = read_all(practice, practice.plain)
    assert {path: marks(text) for path, text in seen.items() if marks(text)} == {}
    assert len(seen) > 20 and '"p1"' in seen["/v1/worklist"]
    shown = {path for path, text in read_all(practice, practice.cleared).items() if marks(text)}
    assert shown >= {
        "/v1/worklist",
        "/v1/emrs/clinic/patients",
        "/v1/emrs/clinic/patients/hid-3",
        "/v1/emrs/clinic/patients/p2",
        "/v1/emrs/clinic/patients/p2/decisions",
        "/v1/emrs/clinic/patients/p4/decisions",
        "/v1/emrs/clinic/ledger",
        "/v1/emrs/clinic/fhir/Task?patient=p2",
        "/v1/emrs/clinic/fhir/Task?patient=p4",
    }


def decided(practice: Labelled, who: str, headers: dict[str, str]) -> dict[str, str]:
    answer = practice.doors.http.get(f"/v1/emrs/clinic/patients/{who}/decisions", headers=headers)
    return {each["rule"]: each["outcome"] for each in answer.json().get("items", ())}


def test_others_are_shown_what_is_left_and_nobody_is_lost_by_it(practice: Labelled) -> None:
    """The restricted value makes a candidate; without it the test is overdue, and that is shown."""
    assert decided(practice, "p2", practice.cleared)["A1C-OUT"] == "eligible"
    others = decided(practice, "p2", practice.plain)
    assert (others["A1C-OUT"] != "eligible", others["A1C-OVERDUE"]) == (True, "eligible")
    assert decided(practice, "hid-3", practice.plain) == {}
    assert decided(practice, "p4", practice.plain)["DIS-TCM"] == "not_eligible"
    assert decided(practice, "p4", practice.cleared)["DIS-TCM"] == "eligible"


def test_a_label_opens_no_other_label(practice: Labelled) -> None:
    only = practice.client("part-2", PART_2)
    assert decided(practice, "p4", only) == decided(practice, "p4", practice.cleared)
    assert decided(practice, "p2", only) == decided(practice, "p2", practice.plain)
    rows = {
        row["patient"]: row for row in practice.doors.http.get("/v1/worklist", headers=only).json()["items"]
    }
    assert "DIS-TCM" in rows["p4"]["rules"] and "hid-3" not in rows


def test_nothing_under_a_label_can_be_named_in_an_act(practice: Labelled) -> None:
    listed = practice.doors.http.get("/v1/emrs/clinic/ledger", headers=practice.cleared).json()["items"]
    open_ids = {
        each["id"]
        for each in practice.doors.http.get("/v1/emrs/clinic/ledger", headers=practice.plain).json()["items"]
    }
    hidden = [each for each in listed if each["id"] not in open_ids]
    tasks = [each for each in hidden if each["kind"] == "Task" and each["patient"] != "hid-3"]
    assert {each["patient"] for each in tasks} == {"p2", "p4"}
    for task in tasks:
        path = f"patients/{task['patient']}/tasks/{task['id']}/completion"
        assert refused(practice, path, {"outcome": "done"}) == 422
        assert refused(practice, f"ledger/{task['id']}/resolution", {"outcome": "not-written"}) == 404
    for act, body in (("decline", {"reason": "no", "days": 30}), ("consents", CONSENT)):
        assert refused(practice, f"patients/hid-3/{act}", body) == 404


def refused(practice: Labelled, path: str, body: dict[str, Any]) -> int:
    path = f"/v1/emrs/clinic/{path}"
    return practice.doors.http.post(path, json=body, headers=practice.plain).status_code


def test_the_page_and_the_lists_show_it_where_the_practice_says_so(practice: Labelled) -> None:
    pages = {who: open_page(practice, who) for who in PEOPLE}
    lists = open_page(practice, None)
    for page in (*pages.values(), lists):
        assert [mark for mark in marks(page.get().text) if mark != "hid-3"] == []
    assert "hid-3" not in lists.get().text
    with practice.doors.store.write() as connection:
        connections.update_emr(connection, "clinic", settings={"page-labels": "R,V,42CFRPart2"})
    assert "13.7" in pages["p2"].get().text
    assert "Discharge" in pages["p4"].get().text
    assert "Zoe" in lists.get().text


def test_a_card_shows_nothing_of_it(practice: Labelled) -> None:
    chart = Chart(practice)
    for who in PEOPLE:
        sent = {
            "patient": next(each for each in WORLD if each["id"] == who),
            "observations": _searchset("Observation", who),
            "conditions": _searchset("Condition", who),
            "encounters": _searchset("Encounter", who),
        }
        answer = chart.call(body=chart.body(patient=who, prefetch=sent))
        assert answer.status_code == 200
        assert marks(answer.text) == []
        assert bool(answer.json()["cards"]) == (who in ("p1", "p2")), answer.text


def _searchset(kind: str, who: str) -> dict[str, Any]:
    mine = [e for e in WORLD if e["resourceType"] == kind and e["subject"]["reference"] == f"Patient/{who}"]
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": each} for each in mine]}


def test_a_webhook_is_told_nothing_of_it(practice: Labelled) -> None:
    with practice.doors.store.write() as connection:
        hook = {"url": "https://you.example", "secret": "", "events": list(notices.EVENTS)}
        webhooks.add(connection, emr="clinic", created_at=NOW, **hook)
    notices.collect(practice.doors.store, "clinic", as_of=NOW, summary={"run": 1})
    with practice.doors.store.read() as connection:
        told = [event.body for event in webhooks.due(connection, now=NOW, limit=500)]
    changed = {(e["data"]["patient"], e["data"]["rule"]) for e in told if e["type"] == "decision.changed"}
    assert ("p1", "A1C-OUT") in changed and ("p2", "CHR-MULTI") in changed
    assert ("p2", "A1C-OUT") not in changed and "hid-3" not in str(told)


def test_what_we_write_bears_the_labels_of_what_it_was_made_of(practice: Labelled) -> None:
    written = [version.resource or {} for kind in ("Task", "Goal") for version in practice.emr.live(kind)]
    found: dict[str, set[str]] = {}
    for resource in written:
        who = str((resource.get("for") or resource.get("subject") or {}).get("reference"))
        labels = {each["code"] for each in (resource.get("meta") or {}).get("security", ())}
        found.setdefault(who.removeprefix("Patient/"), set()).update(labels)
    assert found == {"p1": set(), "p2": {"R"}, "hid-3": {"V"}, "p4": {"42CFRPart2"}}


def test_what_was_made_of_a_labelled_thing_stays_under_its_label(practice: Labelled) -> None:
    """The value is corrected to one that asks for nothing: the Task is withdrawn, and still says it."""
    practice.emr.load([a1c(6.1, "p2", "p2-secret-a1c", **under(R))])
    practice.night()
    assert decided(practice, "p2", practice.cleared)["A1C-OUT"] == "not_eligible"
    for path in ("ledger", "fhir/Task?patient=p2", "patients/p2"):
        answer = practice.doors.http.get(f"/v1/emrs/clinic/{path}", headers=practice.plain)
        assert marks(answer.text) == []


def test_a_label_that_goes_gives_the_record_back(practice: Labelled) -> None:
    practice.emr.load([patient("hid-3", name=[{"text": "Zoe Hidden"}])])
    practice.night()
    assert decided(practice, "hid-3", practice.plain)["A1C-OUT"] == "eligible"
    with practice.doors.store.read() as connection:
        (row,) = worklist.parts(connection, "clinic", "hid-3")
        assert (row.part, row.labels) == (0, "") and row.tasks
