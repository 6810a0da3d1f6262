"""Our own Subscriptions: one at most, renewed in time, never against a person."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from cm_service.db.engine import Database
from cm_service.sandbox.versions import Version
from tests.flow.bad_network import DROPPED_AFTER, answers
from tests.flow.night_world import AS_OF, Json, Practice, far_practice, out_of_range

DAY = dt.timedelta(days=1)
OURS = "http://127.0.0.1:8000/notifications/clinic"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def subscribe(clinic: Practice, folder: Path) -> None:
    secret = folder / "notify-secret"
    secret.write_text("s3cret")
    clinic.set(notify_options={"secret": f"file:{secret}", "subscribe": "on"})


def live(clinic: Practice) -> list[Json]:
    return [version.resource for version in clinic.emr.live("Subscription") if version.resource]


def change(clinic: Practice, **elements: str) -> Version:
    return clinic.emr.clinician_edit("Subscription", live(clinic)[0]["id"], lambda one: one.update(elements))


def test_one_is_made_and_no_second_one_however_many_nights_follow(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, _):
        assert clinic.run()["subscriptions"] == []
        assert live(clinic) == [], "nobody asked for one"
        subscribe(clinic, tmp_path)
        assert clinic.run()["subscriptions"] == ["a Subscription for Encounter? was made"]
        (made,) = live(clinic)
        assert (made["status"], made["criteria"]) == ("active", "Encounter?")
        assert made["channel"] == {
            "type": "rest-hook",
            "endpoint": OURS,
            "header": ["Authorization: Bearer s3cret"],
        }
        assert [clinic.run(AS_OF + n * DAY)["subscriptions"] for n in (0, 1, 5)] == [[], [], []]
        assert len(live(clinic)) == 1


def test_6_f25_it_is_renewed_before_its_end_and_after_it_and_after_an_error(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, _):
        subscribe(clinic, tmp_path)
        clinic.run()
        (said,) = clinic.run(AS_OF + 11 * DAY)["subscriptions"]
        assert "was renewed" in said
        (held,) = live(clinic)
        assert dt.datetime.fromisoformat(held["end"]) == AS_OF + 25 * DAY
        change(clinic, status="error")
        (said,) = clinic.run(AS_OF + 12 * DAY)["subscriptions"]
        assert said.endswith("it was error")
        assert live(clinic)[0]["status"] == "active"
        change(clinic, status="off")
        (said,) = clinic.run(AS_OF + 40 * DAY)["subscriptions"]
        assert said.endswith("it had ended")
        assert [each["status"] for each in live(clinic)] == ["active"]


def test_6_f25_what_a_person_turned_off_stays_off(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, _):
        subscribe(clinic, tmp_path)
        clinic.run()
        change(clinic, status="off")
        report = clinic.run(AS_OF + DAY)
        assert (len(report["subscriptions"]), report["status"]) == (1, "complete")
        assert "stays off" in report["subscriptions"][0]
        assert [each["status"] for each in live(clinic)] == ["off"]


def test_a_lost_answer_is_no_second_copy_and_a_search_that_fails_makes_none(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        subscribe(clinic, tmp_path)
        network.fail("POST Subscription", DROPPED_AFTER)
        report = clinic.run()
        assert "could not be looked after" in report["subscriptions"][0]
        assert (clinic.run(AS_OF + DAY)["subscriptions"], len(live(clinic))) == ([], 1)
        clinic.emr.clinician_delete("Subscription", live(clinic)[0]["id"])
        network.fail("GET Subscription", answers(403))
        assert "could not be" in clinic.run(AS_OF + 2 * DAY)["subscriptions"][0]
        assert live(clinic) == []


def test_a_refusal_is_told_and_not_tried_every_night(database: Database, tmp_path: Path) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, network):
        subscribe(clinic, tmp_path)
        network.fail("POST Subscription", answers(403))
        report = clinic.run()
        assert (report["status"], len(report["subscriptions"])) == ("complete", 1)
        network.log.clear()
        (said,) = clinic.run(AS_OF + DAY)["subscriptions"]
        assert said.startswith("no Subscription can be made in this EMR: refused with 403")
        assert not [line for line in network.log if line.startswith("POST Subscription")]


def test_where_people_pause_the_emr_or_it_is_far_and_not_https_none_is_made(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, out_of_range()) as (clinic, _):
        subscribe(clinic, tmp_path)
        clinic.set(paused_at=AS_OF)
        assert clinic.run()["subscriptions"] == []
        clinic.set(paused_at=None)
        settings = clinic.settings.model_copy(update={"public_url": "http://cm.example"})
        clinic.tools = clinic.tools._replace(settings=settings)
        assert "https" in clinic.run()["subscriptions"][0]
        assert live(clinic) == []
