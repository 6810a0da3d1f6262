"""Every personality: what it declares is what the matrix says, and what it declares it does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest

from cm_service.errors import BadInput
from cm_service.sandbox.checks import reference_holders
from cm_service.sandbox.declared import Declared, Personality
from cm_service.sandbox.matching import local_key
from cm_service.sandbox.panel import build_panel
from cm_service.sandbox.personality import PERSONALITIES, adapted, personality_named
from cm_service.sandbox.store import Store
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import encode
from tests.sandbox.builders import RunningEmr, observation, patient, running_as

NAMES = sorted(PERSONALITIES)
VALUES = {"date": "ge2020-01-01", "token": "x", "reference": "Patient/p1", "string": "x", "uri": "urn:x"}

# C create, U update, P patch, r read and search, i read by id only; "-" the EMR has no such type;
# a small letter is declared and yet refused.
MATRIX = {
    #           CarePlan Goal  Task  SrvReq Commun DocRef Observ Encoun QuestR
    "epic": "       r      r    r,u   r      r,c    Cr,u   Cr     r      r,c",
    "oracle": "     r      r    -     r      CPr    CUr    CUr    CPr    Ur",
    "athena": "     r      r    -     r      -      r      r      r      Cr",
    "ecw": "        r      r    -     r      -      r      r      r      Cr",
    "meditech": "   r      r    i     r      Cr     r      r      r      CUr",
    "nextgen": "    r      r    -     r      -      r      r      r      r",
    "canvas": "     r      r    CUr   -      Cr     Cr     Cr     r      CUr",
    "hapi": "       CUPr   CUPr CUPr  CUPr   CUPr   CUPr   CUPr   CUPr   CUPr",
    "medplum": "    CUPr   CUPr CUPr  CUPr   CUPr   CUPr   CUPr   CUPr   CUPr",
    "generous": "   CUr    CUr  CUr   CUr    CUr    CUr    CUr    CUr    CUr",
}
TYPES = (
    "CarePlan",
    "Goal",
    "Task",
    "ServiceRequest",
    "Communication",
    "DocumentReference",
    "Observation",
    "Encounter",
    "QuestionnaireResponse",
)
LETTERS = {"create": "C", "update": "U", "patch": "P"}


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest) -> Personality:
    return personality_named(request.param)


@pytest.fixture
def emr(kind: Personality) -> Iterator[RunningEmr]:
    with running_as(kind) as running:
        yield running


def _cell(declared: Declared | None) -> str:
    if declared is None:
        return "-"
    does = "".join(letter for code, letter in LETTERS.items() if declared.allows(code))
    reads = "r" if declared.allows("search-type") else "i"
    hollow = "".join(letter.lower() for code, letter in LETTERS.items() if code in declared.hollow)
    return does + reads + (f",{hollow}" if hollow else "")


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_written_and_read_is_what_the_matrix_says(name: str) -> None:
    types = personality_named(name).types
    assert [_cell(types.get(type_)) for type_ in TYPES] == MATRIX[name].split()


def test_an_unknown_personality_is_told_all_names() -> None:
    with pytest.raises(
        BadInput, match="athena, canvas, ecw, epic, generous, hapi, meditech, medplum, nextgen, oracle"
    ):
        personality_named("cerner")


def test_metadata_tells_what_is_declared_and_what_is_only_claimed(emr: RunningEmr, kind: Personality) -> None:
    rows = {row["type"]: row for row in emr.http.get("metadata").json()["rest"][0]["resource"]}
    assert rows.keys() == kind.types.keys()
    for type_, declared in kind.types.items():
        told = {part["code"] for part in rows[type_]["interaction"]}
        assert told == declared.interactions | declared.hollow, type_
        names = {part["name"] for part in rows[type_]["searchParam"]}
        assert names == declared.parameters.keys() - declared.untold
        assert rows[type_]["conditionalCreate"] is declared.conditional_create


def test_what_is_not_done_is_refused_with_405_or_as_this_emr_refuses_it(
    emr: RunningEmr, kind: Personality
) -> None:
    for type_, declared in kind.types.items():
        for code, method, url in (
            ("create", "POST", type_),
            ("update", "PUT", f"{type_}/x"),
            ("patch", "PATCH", f"{type_}/x"),
            ("delete", "DELETE", f"{type_}/x"),
            ("search-type", "GET", type_),
        ):
            if not declared.allows(code):
                body = {"resourceType": type_, "id": "x"} if method in ("POST", "PUT") else None
                wanted = kind.hollow_status if code in declared.hollow else 405
                assert emr.http.request(method, url, json=body).status_code == wanted, (type_, code)
                _next_minute(emr)
    assert emr.store.written() == []


def _next_minute(emr: RunningEmr) -> None:
    """So that a rate limit is not what answers."""
    emr.clock.forward(minutes=1)


def _needed(declared: Declared) -> dict[str, str]:
    """The shortest search that this type takes."""
    if not declared.needs:
        return {}
    needs = min(declared.needs, key=sorted)
    return {name: "x" if name == "_id" else VALUES[declared.parameters[name].kind] for name in needs}


def test_every_declared_search_parameter_is_understood_and_told_back(
    emr: RunningEmr, kind: Personality
) -> None:
    for type_, declared in kind.types.items():
        if not declared.allows("search-type"):
            continue
        for name, parameter in declared.parameters.items():
            asked = list({**_needed(declared), name: VALUES[parameter.kind]}.items())
            if (kind.name, type_, name) == ("oracle", "CarePlan", "date"):
                asked.append(("date", "le2030-01-01"))
            answer = emr.http.get(type_, params=asked, headers={"Prefer": "handling=strict"})
            assert answer.status_code == 200, (type_, name, answer.text)
            used = [pair[0] for pair in parse_qsl(answer.json()["link"][0]["url"].partition("?")[2])]
            assert name in used, (type_, name)
            _next_minute(emr)


def test_a_search_without_what_is_needed_is_refused(emr: RunningEmr, kind: Personality) -> None:
    for type_, declared in kind.types.items():
        if declared.needs and declared.allows("search-type"):
            assert emr.http.get(type_).status_code == 400, type_
            _next_minute(emr)


def test_pages_bring_everything_and_stay_on_the_server(emr: RunningEmr, kind: Personality) -> None:
    wanted = {f"o{number}" for number in range(230)}
    emr.store.load(observation(id_) for id_ in sorted(wanted))
    url, seen, pages = "Observation?patient=p1", list[str](), 0
    while url:
        answer = emr.http.get(url)
        assert answer.status_code == 200, answer.text
        seen += [entry["resource"]["id"] for entry in answer.json()["entry"]]
        url = next((link["url"] for link in answer.json()["link"] if link["relation"] == "next"), "")
        assert not url or url.startswith(emr.base)
        pages += 1
    assert set(seen) == wanted
    assert len(seen) == 230 + kind.paging.repeats * (pages - 1)
    assert pages == -(-230 // kind.default_count)


def test_more_than_a_page_can_hold_is_not_given(emr: RunningEmr, kind: Personality) -> None:
    emr.store.load(observation(f"o{number}") for number in range(1100))
    answer = emr.http.get("Observation", params={"patient": "p1", kind.paging.count: "5000"})
    assert len(answer.json()["entry"]) == kind.max_count
    assert f"{kind.paging.count}={kind.max_count}" in answer.json()["link"][0]["url"]


@pytest.mark.parametrize("name", NAMES)
def test_the_synthetic_panel_fits_into_every_emr(name: str) -> None:
    as_of = dt.datetime(2026, 11, 20, 20, 0, tzinfo=dt.UTC)
    panel = build_panel(as_of=as_of, zone=ZoneInfo("America/Detroit"), patients=116)
    before = encode(panel)
    store = Store()
    store.load(adapted(panel, personality_named(name)))
    assert encode(panel) == before, "the panel is not changed in place"
    held = {version.key for chain in store.histories() for version in chain}
    assert len(held) == len(panel)
    named = {local_key(holder["reference"]) for chain in store.histories() for holder in _holders(chain[0])}
    assert named - held <= {None}, "every reference leads somewhere"
    assert max(len(version.id) for version in store.live("Patient")) <= personality_named(name).longest_id


def _holders(version: Version) -> Iterator[dict[str, Any]]:
    return reference_holders(version.resource)


def test_ids_longer_than_this_emr_has_lead_nowhere(emr: RunningEmr, kind: Personality) -> None:
    emr.store.load([patient("x" * kind.longest_id), patient("x" * (kind.longest_id + 1))])
    assert emr.http.get(f"Patient/{'x' * kind.longest_id}").status_code == 200
    assert emr.http.get(f"Patient/{'x' * (kind.longest_id + 1)}").status_code == 404
