"""`/metrics` says what stands in the store, whichever process put it there, and nobody's name."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.notify_world import Notified, event
from tests.flow.night_world import a1c, condition, out_of_range, patient, stay

Sample = tuple[str, tuple[tuple[str, str], ...]]


def scraped(clinic: Notified) -> dict[Sample, float]:
    answer = clinic.doors.http.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> Sample:
    return name, tuple(sorted({"emr": "clinic", **labels}.items()))


@pytest.fixture
def clinic(tmp_path: Path) -> Notified:
    return Notified(tmp_path, [*out_of_range("p1"), patient("Lovelace-Ada"), stay(who="Lovelace-Ada")])


def test_a_night_of_another_process_is_seen(clinic: Notified) -> None:
    seen = scraped(clinic)
    assert seen[("cm_store_up", ())] == 1
    assert seen[of("cm_last_complete_night_timestamp_seconds")] == clinic.doors.now.timestamp()
    assert seen[of("cm_last_night_complete")] == 1
    assert seen[of("cm_last_night_resources", type="Patient")] == 2
    assert seen[of("cm_last_night_pages", type="Encounter")] >= 1
    assert seen[of("cm_last_night_unread", type="Encounter")] == 0
    assert seen[of("cm_ledger", state="written")] > 0
    assert seen[of("cm_runs", status="complete")] == 1


def test_what_is_held_grows_old_until_the_next_night(clinic: Notified) -> None:
    clinic.later(hours=30)
    assert scraped(clinic)[of("cm_lag_seconds", type="Encounter")] == 30 * 3600
    clinic.night()
    assert scraped(clinic)[of("cm_lag_seconds", type="Encounter")] == 0


def test_a_line_that_cannot_be_used_is_counted(clinic: Notified) -> None:
    clinic.emr.load([condition("odd", "E11.9", clinicalStatus="active")])
    clinic.later(hours=1)
    clinic.night()
    seen = scraped(clinic)
    assert seen[of("cm_last_night_rejects")] >= 1


def test_hints_and_subscriptions_are_watched(clinic: Notified) -> None:
    clinic.shake()
    clinic.tell(event("5"), total=5)
    clinic.later(minutes=10)
    seen = scraped(clinic)
    assert seen[of("cm_hints_waiting")] == 2
    assert seen[of("cm_hints_oldest_seconds")] == 600
    assert seen[of("cm_subscription_silent_seconds", subscription="s1")] == 600
    assert seen[of("cm_subscription_up", subscription="s1")] == 1
    assert seen[of("cm_subscription_gaps", subscription="s1")] == 1
    clinic.tell(type_="heartbeat", status="error", total=5)
    assert scraped(clinic)[of("cm_subscription_up", subscription="s1")] == 0


def test_no_patient_is_named(clinic: Notified) -> None:
    clinic.emr.load([a1c(who="Lovelace-Ada")])
    clinic.send(path="/Patient/Lovelace-Ada", method="PUT")
    clinic.doors.now += dt.timedelta(minutes=1)
    assert "Lovelace" not in clinic.doors.http.get("/metrics").text


def test_a_store_that_is_gone_hides_no_other_figure(clinic: Notified) -> None:
    with clinic.doors.store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE run RENAME TO elsewhere")
    answer = clinic.doors.http.get("/metrics")
    assert answer.status_code == 200
    assert "cm_store_up 0.0" in answer.text
    assert "cm_cds_seconds" in answer.text
