"""HAPI and Medplum: nearly everything, each with its own idea of versions, searches and conflicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from cm_service.sandbox.declared import Guard, Paging
from cm_service.sandbox.personality import GENEROUS, personality_named
from tests.sandbox.builders import OURS, RunningEmr, bundle, entry, patient, running_as, task


@pytest.fixture
def hapi() -> Iterator[RunningEmr]:
    with running_as(personality_named("hapi")) as running:
        yield running


@pytest.fixture
def medplum() -> Iterator[RunningEmr]:
    with running_as(personality_named("medplum")) as running:
        yield running


@pytest.mark.parametrize("handling", ["strict", "lenient"])
def test_hapi_refuses_an_unknown_parameter_whatever_is_preferred(hapi: RunningEmr, handling: str) -> None:
    headers = {"Prefer": f"handling={handling}"}
    assert hapi.http.get("Task?no-such=x", headers=headers).status_code == 400


def test_hapi_answers_a_stale_version_with_409_and_changes_nothing(hapi: RunningEmr) -> None:
    made = hapi.post(task())
    stale = made.headers["ETag"]
    assert hapi.put({**made.json(), "status": "accepted"}, If_Match=stale).status_code == 200
    assert hapi.put({**made.json(), "status": "failed"}, If_Match=stale).status_code == 409
    assert hapi.http.get(f"Task/{made.json()['id']}").json()["status"] == "accepted"


def test_hapi_keeps_the_version_when_nothing_changes(hapi: RunningEmr) -> None:
    made = hapi.post(task())
    again = hapi.put(made.json())
    assert (again.status_code, again.headers["ETag"]) == (200, made.headers["ETag"])


def test_hapi_lets_clients_choose_ids_but_not_numbers(hapi: RunningEmr) -> None:
    assert hapi.put(patient("chosen")).status_code == 201
    assert hapi.put(patient("20261120")).status_code == 400


def test_hapi_gives_old_results_for_a_minute_unless_it_is_told_not_to(hapi: RunningEmr) -> None:
    url = f"Task?identifier={OURS}|t1"
    assert hapi.found(url) == []
    id_ = hapi.post(task()).json()["id"]
    assert hapi.found(url) == []
    assert hapi.found(url, Cache_Control="no-cache") == [id_]
    hapi.clock.forward(seconds=61)
    assert hapi.found(url) == [id_]


def test_hapi_pages_by_getpages() -> None:
    small = dataclasses.replace(
        personality_named("hapi"), paging=Paging(parameter="_getpages", stops_at=4), default_count=2
    )
    with running_as(small) as emr:
        emr.store.load(task(f"t{n}", id=f"t{n}") for n in range(9))
        first = emr.http.get("Task?patient=p1").json()
        following = next(link["url"] for link in first["link"] if link["relation"] == "next")
        assert following.startswith(f"{emr.base}?_getpages=")
        second = emr.http.get(following).json()
        assert (len(second["entry"]), second["total"]) == (2, 9)
        assert [link["relation"] for link in second["link"]] == ["self"], "the end comes too early"


def test_both_take_transactions_and_conditional_creates(hapi: RunningEmr, medplum: RunningEmr) -> None:
    for emr in (hapi, medplum):
        posted = bundle("transaction", entry("POST", "Task", task(), ifNoneExist=f"identifier={OURS}|t1"))
        for _ in range(2):
            assert emr.post(posted).status_code == 200
        assert emr.store.count_identifier("Task", OURS, "t1") == 1


def test_medplum_finds_nothing_for_an_unknown_parameter(medplum: RunningEmr) -> None:
    medplum.post(task())
    answer = medplum.http.get("Task?patient=p1&bogus=1")
    assert (answer.status_code, answer.json()["total"]) == (200, 0)


def test_medplum_names_versions_and_does_not_count_them(medplum: RunningEmr) -> None:
    made = medplum.post(task())
    first = made.json()["meta"]["versionId"]
    assert (len(first), made.headers["ETag"]) == (36, f'W/"{first}"')
    updated = medplum.put({**made.json(), "status": "accepted"}, If_Match=f'W/"{first}"')
    assert updated.status_code == 200
    assert medplum.put(made.json(), If_Match=f'W/"{first}"').status_code == 412
    old = medplum.http.get(f"Task/{made.json()['id']}/_history/{first}")
    assert (old.json()["status"], old.json()["meta"]["versionId"]) == ("requested", first)


def test_a_server_whose_etag_is_never_checked_can_be_had_by_one_switch() -> None:
    with running_as(dataclasses.replace(GENEROUS, guard=Guard.NONE)) as emr:
        made = emr.post(task())
        for status in ("accepted", "completed"):
            changed = {**made.json(), "status": status}
            assert emr.put(changed, If_Match='W/"1"').status_code == 200


def test_a_search_index_that_lags_shows_the_version_before() -> None:
    with running_as(dataclasses.replace(GENEROUS, search_lag_seconds=5)) as emr:
        made = emr.post(task()).json()
        assert emr.found("Task?patient=p1") == []
        assert emr.http.get(f"Task/{made['id']}").status_code == 200
        emr.clock.forward(seconds=5)
        assert emr.found("Task?patient=p1") == [made["id"]]
        emr.put({**made, "status": "accepted"})
        assert emr.found("Task?patient=p1&status=requested") == [made["id"]]
        emr.clock.forward(seconds=5)
        assert emr.found("Task?patient=p1&status=requested") == []
