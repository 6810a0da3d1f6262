"""Search over real HTTP: what is found, what is ignored, what is refused, and paging."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.sandbox.builders import OURS, RunningEmr, observation, patient, task

LOINC = "http://loinc.org"


def _self(answer: Any) -> list[tuple[str, str]]:
    link = next(link["url"] for link in answer.json()["link"] if link["relation"] == "self")
    return parse_qsl(urlsplit(link).query)


def _next(answer: Any) -> str | None:
    return next((link["url"] for link in answer.json()["link"] if link["relation"] == "next"), None)


def _load(emr: RunningEmr, *resources: dict[str, Any]) -> None:
    emr.store.load(resources)


def _component(id_: str) -> dict[str, Any]:
    code = {"coding": [{"system": LOINC, "code": "4548-4"}]}
    panel = {"coding": [{"system": LOINC, "code": "55399-0"}]}
    return observation(id_, code=panel, component=[{"code": code}])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("code=http://loinc.org|4548-4", ["o1"]),
        ("code=4548-4", ["o1"]),
        ("code=http://loinc.org|", ["o1", "o2"]),
        ("code=|4548-4", []),
        ("code=http://other.example|4548-4", []),
        ("combo-code=http://loinc.org|4548-4", ["o1", "o2"]),
        ("component-code=4548-4", ["o2"]),
        ("combo-code=17856-6,4548-4", ["o1", "o2"]),
        ("combo-code=17856-6", []),
        ("code=4548-4&status=preliminary", []),
        ("code=4548-4&status=final,amended", ["o1"]),
        ("category=laboratory", ["o2"]),
    ],
)
def test_tokens_match_as_fhir_says(emr: RunningEmr, query: str, found: list[str]) -> None:
    _load(emr, observation("o1"), {**_component("o2"), "category": [{"coding": [{"code": "laboratory"}]}]})
    assert emr.found(f"Observation?{query}") == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"identifier={OURS}|t1", ["a", "b"]),
        ("identifier=t1", ["a", "b", "c"]),
        ("identifier=|t1", ["c"]),
        (f"identifier={OURS}|t1,{OURS}|t2", ["a", "b", "d"]),
        (f"identifier={OURS}|t9", []),
        (f"identifier={OURS}|", ["a", "b", "d"]),
        ("_id=a,d", ["a", "d"]),
        ("_id=d&identifier=t1", []),
    ],
)
def test_identifiers_are_found_with_and_without_their_system(
    emr: RunningEmr, query: str, found: list[str]
) -> None:
    bare = {"identifier": [{"value": "t1"}]}
    _load(emr, task(id="a"), task(id="b"), {**task(id="c"), **bare}, task("t2", id="d"))
    assert emr.found(f"Task?{query}") == found


def test_a_comma_or_a_bar_inside_a_value_can_be_escaped(emr: RunningEmr) -> None:
    _load(emr, task("a,b", id="a"), task("a|b", id="b"))
    assert emr.found(r"Task?identifier=a\,b") == ["a"]
    assert emr.found(r"Task?identifier=a\|b") == ["b"]


@pytest.mark.parametrize("query", ["patient=p1", "patient=Patient/p1", "subject=Patient/p1", "subject=p1"])
def test_what_belongs_to_a_patient_is_found(emr: RunningEmr, query: str) -> None:
    versioned = {"reference": "Patient/p1/_history/1"}
    _load(
        emr,
        task(id="a"),
        task(id="b", **{"for": {"reference": "Patient/p2"}}),
        task(id="c", **{"for": versioned}),
    )
    assert emr.found(f"Task?{query}") == ["a", "c"]
    assert emr.found(f"Task?{query.replace('=', f'={emr.base}/') if 'Patient/' in query else query}") == [
        "a",
        "c",
    ]


def test_an_appointments_patient_is_its_participant(emr: RunningEmr) -> None:
    people = [{"actor": {"reference": "Practitioner/d"}}, {"actor": {"reference": "Patient/p2"}}]
    _load(emr, {"resourceType": "Appointment", "id": "a", "status": "booked", "participant": people})
    assert emr.found("Appointment?patient=p2") == ["a"]
    assert emr.found("Appointment?patient=d") == []
    assert emr.found("Appointment?actor=Practitioner/d") == ["a"]


def test_a_change_of_subject_is_seen_by_the_next_search(emr: RunningEmr) -> None:
    made = emr.post(task()).json()
    emr.put({**made, "for": {"reference": "Patient/p2"}, "identifier": [{"value": "new"}]})
    assert emr.found("Task?patient=p1") == []
    assert emr.found("Task?patient=p2&identifier=new") == [made["id"]]
    assert emr.found("Task?identifier=t1") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("date=2026-11-10", ["day"]),
        ("date=2026-11", ["day", "hour"]),
        ("date=ge2026-11-10", ["day", "hour", "open"]),
        ("date=gt2026-11-10", ["hour", "open"]),
        ("date=lt2026-11-10", ["year", "open"]),
        ("date=le2026-11-10", ["day", "year", "open"]),
        ("date=sa2026-11-10", ["hour"]),
        ("date=eb2026-11-10", ["year"]),
        ("date=ne2026-11-10", ["hour", "year", "open"]),
        ("date=ge2026-11-12T03:00:00Z", ["hour", "open"]),
        ("date=ge2026-11-12T03:00:01Z", ["open"]),
        ("date=2026-11-11T22:00:00-05:00", ["hour"]),
        ("date=ge2026-11-01&date=le2026-11-10", ["day", "open"]),
    ],
)
def test_dates_are_intervals_and_prefixes_compare_them(emr: RunningEmr, query: str, found: list[str]) -> None:
    _load(
        emr,
        observation("day", effectiveDateTime="2026-11-10"),
        observation("hour", effectiveDateTime="2026-11-11T22:00:00-05:00"),
        observation("year", effectiveDateTime="2025"),
        observation("open", effectivePeriod={"start": "2026-10-01"}),
        observation("none"),
        observation("odd", effectiveDateTime="last week"),
    )
    assert emr.found(f"Observation?{query}") == found


def test_last_updated_finds_what_was_written_since(emr: RunningEmr) -> None:
    first = emr.post(task("t1")).json()
    emr.clock.forward(minutes=10, milliseconds=250)
    second = emr.post(task("t2")).json()
    assert second["meta"]["lastUpdated"] == "2026-11-20T20:10:00.250+00:00"
    assert emr.found("Task?_lastUpdated=ge2026-11-20T20:10:00.250Z") == [second["id"]]
    assert emr.found("Task?_lastUpdated=gt2026-11-20T20:10:00.250Z") == []
    assert emr.found("Task?_lastUpdated=ge2026-11-20T20:10:00Z") == [second["id"]]
    assert emr.found("Task?_lastUpdated=lt2026-11-20T20:10:00Z") == [first["id"]]
    assert len(emr.found("Task?_lastUpdated=ge2026-11-20")) == 2


def test_names_are_found_by_their_beginning(emr: RunningEmr) -> None:
    _load(emr, patient("p3", name=[{"family": "Quillfeather", "given": ["Orla"]}]))
    assert emr.found("Patient?name=quill") == emr.found("Patient?name=or") == ["p3"]
    assert emr.found("Patient?family=feather") == []


@pytest.mark.parametrize(
    "query",
    [
        "date=soon",
        "date=2026-13-01",
        "date=ap2026",
        "code=a|b|c",
        "status=",
        "_count=many",
        "_count=-1",
        "_summary=text",
        "patient=Practitioner/x/y",
        "code:in=x",
        "date=ge2026-11-10T10:00:00 05:00",
    ],
)
def test_a_value_that_cannot_be_read_is_refused_even_leniently(emr: RunningEmr, query: str) -> None:
    refused = emr.http.get(f"Observation?{query}")
    assert refused.status_code == 400
    assert refused.json()["resourceType"] == "OperationOutcome"


def test_an_unknown_parameter_is_refused_strictly(emr: RunningEmr) -> None:
    refused = emr.http.get("Task?patient=p1&bogus=1", headers={"Prefer": "handling=strict"})
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (400, "not-supported")


def test_preferences_in_two_header_lines_are_both_read(emr: RunningEmr) -> None:
    lines = [("Prefer", "return=minimal"), ("Prefer", "handling=strict")]
    assert emr.http.get("Task?bogus=1", headers=lines).status_code == 400


def test_an_unknown_parameter_is_ignored_leniently_and_missing_in_the_self_link(emr: RunningEmr) -> None:
    _load(emr, task(id="a"), task(id="b", **{"for": {"reference": "Patient/p2"}}))
    for headers in ({}, {"Prefer": "handling=lenient"}):
        answer = emr.http.get("Task?bogus=1&patient=p1&status=requested", headers=headers)
        assert _self(answer) == [("patient", "p1"), ("status", "requested")]
        assert answer.json()["total"] == 1


def test_the_self_link_keeps_every_value_as_it_was_asked(emr: RunningEmr) -> None:
    asked = [
        ("combo-code", "http://loinc.org|4548-4,59261-8"),
        ("date", "ge2026-01-01T00:00:00+01:00"),
        ("_count", "7"),
    ]
    assert _self(emr.http.get("Observation", params=asked)) == asked


def test_search_by_post_is_the_same_search(emr: RunningEmr) -> None:
    _load(emr, task(id="a"), task("t2", id="b"))
    answer = emr.http.post("Task/_search?_count=5", data={"identifier": f"{OURS}|t2"})
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == ["b"]
    assert _self(answer) == [("_count", "5"), ("identifier", f"{OURS}|t2")]
    strict = emr.http.post("Task/_search", data={"bogus": "1"}, headers={"Prefer": "handling=strict"})
    assert strict.status_code == 400
    assert emr.http.post("Task/_search", json={}).status_code == 415


def test_a_search_that_finds_nothing_has_a_total_of_zero_and_no_entry(emr: RunningEmr) -> None:
    body = emr.http.get("Task?patient=p1").json()
    assert (body["type"], body["total"], "entry" in body) == ("searchset", 0, False)


@pytest.mark.parametrize("query", ["_summary=count", "_count=0"])
def test_a_count_gives_the_total_and_no_entries(emr: RunningEmr, query: str) -> None:
    _load(emr, *(task(id=f"t{n}") for n in range(7)))
    body = emr.http.get(f"Task?patient=p1&{query}").json()
    assert (body["total"], "entry" in body) == (7, False)
    assert [link["relation"] for link in body["link"]] == ["self"]


def test_pages_hold_everything_once_and_say_the_total(emr: RunningEmr) -> None:
    _load(emr, *(task(id=f"t{n}") for n in range(25)))
    answer, ids, sizes = emr.http.get("Task?patient=p1&_count=10"), [], []
    while True:
        entries = answer.json()["entry"]
        ids += [entry["resource"]["id"] for entry in entries]
        sizes.append(len(entries))
        assert answer.json()["total"] == 25
        assert entries[0]["search"] == {"mode": "match"}
        assert entries[0]["fullUrl"] == f"{emr.base}/Task/{entries[0]['resource']['id']}"
        if (url := _next(answer)) is None:
            break
        assert "patient" not in url, "a next link is opaque"
        answer = emr.http.get(url)
    assert (sizes, len(set(ids))) == ([10, 10, 5], 25)


def test_pages_are_of_one_moment_whatever_is_written_meanwhile(emr: RunningEmr) -> None:
    _load(emr, *(task(id=f"t{n}") for n in range(4)))
    first = emr.http.get("Task?_count=2")
    emr.store.clinician_delete("Task", "t0")
    emr.store.clinician_delete("Task", "t3")
    emr.post(task())
    second = emr.http.get(_next(first) or "")
    assert [entry["resource"]["id"] for entry in second.json()["entry"]] == ["t2", "t3"]
    assert emr.http.get(_next(first) or "").json()["entry"] == second.json()["entry"], (
        "a page can be read again"
    )


def test_a_page_that_is_not_kept_any_more_is_gone(emr: RunningEmr) -> None:
    for token in ("nonsense", "nonsense.5", "nonsense.x"):
        assert emr.http.get(f"?_page={token}").status_code == 410


def test_a_count_above_the_limit_is_cut_and_the_self_link_says_so(emr: RunningEmr) -> None:
    assert _self(emr.http.get("Task?_count=5000")) == [("_count", "1000")]
