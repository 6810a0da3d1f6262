"""Is an EMR blind for discharges? Known by a search where it can be asked, else by what nights have read."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cm_service import wiring
from cm_service.db import connections
from cm_service.db.engine import Database
from cm_service.flow import check, passport
from tests.flow.bad_network import answers
from tests.flow.night_world import AS_OF, Json, Practice, far_practice, patient, stay

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DAY = dt.timedelta(days=1)


def ended(day: str, **changes: Any) -> Json:
    return stay(period={"start": f"{day}T08:00:00-05:00", "end": f"{day}T20:00:00-05:00"}, **changes)


def warnings(clinic: Practice, *, as_of: dt.datetime = AS_OF) -> list[str]:
    """What `emr check` warns of, about discharges."""

    async def ask() -> dict[str, Any]:
        with clinic.database.read() as connection:
            row = connections.get_emr(connection, "clinic")
            last = passport.last_stay(connection, "clinic")
        async with wiring.fhir_client(clinic.settings, row) as client:
            return await check.check(client, as_of=as_of, zone=ZoneInfo("America/Detroit"), last_stay=last)

    return [text for text in asyncio.run(ask())["warnings"] if "inpatient" in text]


@SQLITE
@pytest.mark.parametrize(
    ("encounters", "expected"),
    [
        ([ended("2026-11-18")], []),
        ([ended("2026-09-21")], []),
        ([ended("2026-09-20")], [check.BLIND]),
        ([], [check.BLIND]),
        ([ended("2026-11-18", status="planned")], [check.BLIND]),
        ([ended("2026-11-18", **{"class": {"code": "AMB"}})], [check.BLIND]),
        ([ended("2026-12-18")], [check.BLIND]),
    ],
    ids=["this week", "60 days ago", "61 days ago", "none", "planned", "a visit", "in the future"],
)
def test_where_stays_cannot_be_searched_for_the_last_night_knows(
    encounters: list[Json], expected: list[str], database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, [patient(), *encounters]) as (clinic, network):
        network.fail("GET Encounter?class", answers(400), always=True)
        assert warnings(clinic) == [check.UNSEEN], "before any night"
        clinic.run()
        assert warnings(clinic) == expected


@SQLITE
def test_an_emr_whose_encounters_were_not_read_is_not_called_blind(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, [patient(), ended("2026-11-18")]) as (clinic, network):
        network.fail("GET Encounter?", answers(403), always=True)
        clinic.run()
        assert warnings(clinic) == [check.UNSEEN]


@SQLITE
def test_the_newest_stay_stays_known_when_a_later_night_brings_only_what_is_new(
    database: Database, tmp_path: Path
) -> None:
    with far_practice(database, tmp_path, [patient(), ended("2026-11-18")]) as (clinic, network):
        told = clinic.run()
        clinic.emr.clinician_delete("Encounter", "stay")
        assert clinic.run(AS_OF + DAY)["passport_changes"] == told["passport_changes"] == []
        network.fail("GET Encounter?class", answers(400), always=True)
        assert warnings(clinic) == []
        assert warnings(clinic, as_of=AS_OF + 61 * DAY) == [check.BLIND]
