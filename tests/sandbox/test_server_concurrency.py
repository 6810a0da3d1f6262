"""Many clients and clinicians at once: the store never loses or doubles a write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cm_service.sandbox.store import Store
from tests.sandbox.builders import OURS, RunningEmr, patient, task


def test_a_race_of_conditional_creates_makes_one_resource(emr: RunningEmr) -> None:
    def create(_: int) -> int:
        return emr.post(task(), If_None_Exist=f"identifier={OURS}|t1").status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(create, range(80)))
    assert sorted(set(statuses)) == [200, 201]
    assert statuses.count(201) == 1
    assert emr.store.count_identifier("Task", OURS, "t1", ever=True) == 1


def test_of_all_updates_of_one_version_exactly_one_wins(emr: RunningEmr) -> None:
    made = emr.post(task()).json()

    def update(number: int) -> int:
        return emr.put({**made, "description": f"writer {number}"}, If_Match='W/"1"').status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(update, range(40)))
    assert (statuses.count(200), statuses.count(412)) == (1, 39)
    assert len(emr.store.history("Task", made["id"])) == 2


def test_clinicians_and_clients_write_together_without_losing_a_version(emr: RunningEmr) -> None:
    made = emr.post(task()).json()

    def client(number: int) -> None:
        emr.put({**made, "description": f"client {number}"})

    def clinician(number: int) -> None:
        emr.store.clinician_edit("Task", made["id"], lambda copy: copy.update(description=f"edit {number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(40)))
        list(pool.map(clinician, range(40)))
    numbers = [version.number for version in emr.store.history("Task", made["id"])]
    assert numbers == list(range(1, 82))


def test_what_fails_inside_an_atomic_block_never_was() -> None:
    store = Store()
    store.load([patient("p1"), task(id="old")])
    before = list(store.journal)
    with pytest.raises(RuntimeError), store.atomic():
        store.put(task("t2", id="new"), type_="Task", id_="new")
        store.put(task("t3", id="old"), type_="Task", id_="old")
        store.delete("Patient", "p1")
        raise RuntimeError("the power is out")
    assert store.journal == before
    assert [version.id for version in store.live("Task")] == ["old"]
    assert store.exists("Patient/p1")
    assert store.current("Task", "new") is None
    assert store.count_identifier("Task", OURS, "t1") == 1
    assert store.count_identifier("Task", OURS, "t3", ever=True) == 0
