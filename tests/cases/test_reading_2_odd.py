"""Reading of section 2 on data that is odd, but that real exports hold: sentinels, reversed periods,
ends that lie ahead, a day beside an instant."""

from __future__ import annotations

import pytest

from tests.cases.harness import Json
from tests.cases.stories import (
    cannot_tell,
    decide_all,
    er,
    in_snf,
    inside,
    no,
    snf,
    stay,
    story,
    tell,
    verify,
    visit,
    yes,
)

UNDATED, STALE, OPEN = cannot_tell("discharge_date_missing"), cannot_tell("status_stale"), no("stay_open")
D18, D20 = yes(discharge_date="2026-11-18"), yes(discharge_date="2026-11-20")
NOT_SEEN = yes(without="followed_up")
X = er("x", "11-20 08:00", "11-20 12:00")


def without_period(one: Json) -> Json:
    return {name: value for name, value in one.items() if name != "period"}


EDGES = (
    *(
        story(f"finished until {end}", stay("a", "11-10 08:00", end), timezone=zone, dis_tcm=UNDATED)
        for end, zone in (("9999-12-31T23:59:59Z", "Pacific/Pago_Pago"), ("9999-12-31", "Pacific/Kiritimati"))
    ),
    story("open until the end of time", inside("a", "11-10 08:00", "9999-12-31T23:59:59Z"), dis_tcm=OPEN),
    story("since the beginning of time", stay("a", "0001-01-01T00:00:00Z", "11-18 12:00"), dis_tcm=D18),
    story("since the year 1900, open", inside("a", "1900-01-01"), dis_tcm=no(has="status_stale")),
    story("ended before it began", stay("a", "11-18 12:00", "11-10 08:00"), dis_tcm=UNDATED),
    story("ended at the beginning of time", stay("a", "11-10 08:00", "0001-01-01"), dis_tcm=UNDATED),
    story("ended when it began", stay("a", "11-18 12:00", "11-18 12:00"), dis_tcm=D18),
    story("an end that is no date", stay("a", "11-10 08:00", "20.11.2026"), dis_tcm=UNDATED),
    story("an end on 31 November", stay("a", "11-10 08:00", "2026-11-31"), dis_tcm=UNDATED),
    story("no period", without_period(stay("a", "11-10 08:00")), dis_tcm=no("no_stay", has="partial_date")),
    story(
        "only an end",
        stay("a", None, "11-18 12:00") | {"period": {"end": "2026-11-18T12:00:00-05:00"}},
        dis_tcm=D18,
    ),
    story("finished, with an end in three hours", stay("a", "11-15 08:00", "11-22 18:00"), dis_tcm=UNDATED),
    story(
        "an ED visit finished with an end in three hours",
        er("x", "11-22 08:00", "11-22 18:00"),
        ed_fu=cannot_tell(),
    ),
    story(
        "seen from before its end, a finished stay has no end",
        stay("a", "11-10 08:00", "11-18 12:00"),
        as_of="11-12 12:00",
        dis_tcm=UNDATED,
    ),
    story(
        "seen from before its start, there is none",
        stay("a", "11-10 08:00", "11-18 12:00"),
        as_of="11-02 12:00",
        dis_tcm=no("no_stay", has="future_date"),
    ),
    story(
        "a visit at the end of time follows up nothing", X, visit("v", "9999-12-31T23:59:59Z"), ed_fu=NOT_SEEN
    ),
    story("a visit at the beginning of time neither", X, visit("v", "0001-01-01T00:00:00Z"), ed_fu=NOT_SEEN),
)

DAYS_AND_TIMES = (
    story(
        "a visit without a time on the day of the ED visit may have come before it",
        X,
        visit("v", "2026-11-20"),
        ed_fu=NOT_SEEN,
    ),
    story(
        "and one with a time on the day of an ED visit without",
        er("x", "2026-11-20", "2026-11-20"),
        visit("v", "11-20 15:00"),
        ed_fu=NOT_SEEN,
    ),
    story("a visit in some day of the month", X, visit("v", "2026-11"), ed_fu=NOT_SEEN),
    story(
        "24 hours count from the end of a day without a time",
        er("x", "2026-11-21", "2026-11-21"),
        ed_fu=no("ed_too_recent"),
    ),
    story(
        "and are over after the next day",
        er("x", "2026-11-21", "2026-11-21"),
        as_of="11-23 00:01",
        ed_fu=yes(),
    ),
    story(
        "an ED visit in the night of a stay that began that day",
        stay("a", "2026-11-18", "2026-11-20"),
        er("x", "11-18 03:00", "11-18 06:00"),
        dis_tcm=D20,
        ed_fu=no("became_stay"),
    ),
    story(
        "an ED visit on the last day of a stay without times is a return",
        stay("a", "2026-11-10", "2026-11-18"),
        er("x", "11-18 09:00", "11-18 12:00"),
        dis_tcm=D18,
        ed_fu=no("ed_return"),
    ),
    story(
        "an ED visit without times before a timed stay of that day",
        er("x", "2026-11-18", "2026-11-18"),
        stay("a", "11-18 09:00", "11-20 12:00"),
        dis_tcm=D20,
        ed_fu=no("became_stay"),
        ed_overuse=no(value=0),
    ),
    story(
        "a timed stay and one without times on the same day",
        stay("a", "11-10 08:00", "11-18 12:00"),
        stay("b", "2026-11-18", "2026-11-20"),
        dis_tcm=D20,
        dis_readmit=no(),
    ),
    story(
        "a stay the day after one without times",
        stay("a", "2026-11-10", "2026-11-12"),
        stay("b", "2026-11-13", "2026-11-18"),
        dis_readmit=yes(readmission_date="2026-11-13"),
    ),
)

TANGLED = (
    story(
        "an ED visit over midnight after a discharge begins a stay of its own",
        stay("a", "11-05 08:00", "11-12 12:00"),
        er("x", "11-12 23:00", "11-13 03:00"),
        stay("b", "11-13 03:00", "11-18 12:00"),
        dis_tcm=D18,
        ed_fu=no(),
        ed_overuse=no(value=0),
        dis_readmit=yes(index_discharge_date="2026-11-12"),
    ),
    story(
        "a day with discharge, ED and admission is one stay",
        stay("a", "11-05 08:00", "11-12 08:00"),
        er("x", "11-12 12:00", "11-12 16:00"),
        stay("b", "11-12 16:00", "11-18 12:00"),
        dis_tcm=D18,
        dis_readmit=no(),
        ed_overuse=no(value=0),
    ),
    story(
        "an ED visit without an end of long before hides no discharge",
        er("x", "11-17 08:00"),
        stay("b", "11-17 20:00", "11-20 12:00"),
        dis_tcm=D20,
        ed_fu=no("became_stay"),
    ),
    story(
        "an open ED account under an open stay is an open stay",
        er("x", "11-20 08:00", status="in-progress"),
        inside("b", "11-20 20:00"),
        dis_tcm=OPEN,
        ed_fu=no(),
    ),
    story(
        "a stay that was never closed, and a later one that was",
        inside("a", "11-01 08:00", "11-05 12:00"),
        stay("b", "11-10 08:00", "11-20 12:00"),
        dis_tcm=D20,
    ),
    story(
        "a forgotten observation is a readmission where those count",
        stay("a", "11-05 08:00", "11-10 12:00"),
        inside("o", "11-16 08:00", code="OBSENC"),
        settings={"dis.observation_readmit": "on"},
        dis_readmit=yes(index_discharge_date="2026-11-10", readmission_date="2026-11-16"),
    ),
    story(
        "the SNF account left open over a hospital stay that is over",
        stay("a", "11-01 08:00", "11-05 12:00", out="snf"),
        in_snf("s", "11-05 14:00"),
        stay("b", "11-12 08:00", "11-18 12:00", out="snf"),
        dis_tcm=STALE,
        dis_snf=STALE,
        dis_readmit=yes(index_discharge_date="2026-11-05", readmission_date="2026-11-12"),
    ),
    story(
        "through the ED from an SNF into hospital",
        stay("a", "11-01 08:00", "11-05 12:00", out="snf"),
        snf("s", "11-05 14:00", "11-12 08:00", out="other-hcf"),
        er("x", "11-11 22:00", "11-12 02:00"),
        stay("b", "11-12 02:00", "11-18 12:00"),
        dis_tcm=D18,
        dis_readmit=yes(index_discharge_date="2026-11-05", readmission_date="2026-11-12"),
    ),
    story(
        "sent on from the ED and admitted elsewhere after 30 hours",
        er("x", "11-18 08:00", "11-18 12:00", out="other-hcf"),
        stay("b", "11-19 18:00", "11-21 12:00"),
        dis_tcm=yes(),
        ed_fu=no(),
    ),
    story(
        "an episode that a stay against advice closed has no ED returns",
        stay("a", "11-01 08:00", "11-05 12:00"),
        stay("b", "11-10 08:00", "11-12 12:00", out="aadvice"),
        X,
        ed_fu=yes(without="ed_return"),
    ),
)

TABLE = tell(*EDGES, *DAYS_AND_TIMES, *TANGLED)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_odd_data(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])
