"""Reading of rule 2.5: the days of the period, over weekends, holidays, zones and clock changes."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.cases.harness import DETROIT, Json
from tests.cases.stories import (
    Says,
    Table,
    cannot_tell,
    decide_all,
    er,
    inside,
    no,
    snf,
    stay,
    story,
    tell,
    verify,
    yes,
)


def clock(day: str, due: str, zone: str = DETROIT) -> Table:
    """Home at noon on `day`, looked at an hour later; contact is due at the end of `due`, local time."""
    d, noon = date.fromisoformat(day), f"{day} 12:00"
    end = datetime.fromisoformat(noon).replace(tzinfo=ZoneInfo(zone))
    says = yes(
        "community_discharge",
        flags="",
        discharge_date=day,
        contact_due=datetime.fromisoformat(f"{due} 23:59:59").replace(tzinfo=ZoneInfo(zone)).isoformat(),
        visit_due_high=str(d + timedelta(7)),
        visit_due_moderate=str(d + timedelta(14)),
        period_end=str(d + timedelta(29)),
        priority="asap",
    )
    one = stay("a", (end - timedelta(3)).isoformat(), end.isoformat())
    seen = (end + timedelta(hours=1)).isoformat()
    return story(f"home on {day} in {zone}", one, as_of=seen, timezone=zone, dis_tcm=says)


DUE = {
    "2026-11-16": "2026-11-18",  # Monday to Sunday of a plain week
    "2026-11-17": "2026-11-19",
    "2026-11-18": "2026-11-20",
    "2026-11-19": "2026-11-23",
    "2026-11-20": "2026-11-24",
    "2026-11-21": "2026-11-24",
    "2026-11-22": "2026-11-24",
    "2026-11-09": "2026-11-12",  # Veterans Day is a Wednesday
    "2026-11-10": "2026-11-13",
    "2026-11-11": "2026-11-13",
    "2026-11-24": "2026-11-27",  # Thanksgiving, and the Friday after it is a business day
    "2026-11-25": "2026-11-30",
    "2026-11-26": "2026-11-30",
    "2026-12-23": "2026-12-28",
    "2026-12-24": "2026-12-29",
    "2026-12-31": "2027-01-05",
    "2026-07-01": "2026-07-06",  # 4 July is a Saturday, kept on Friday
    "2026-07-02": "2026-07-07",
    "2026-10-09": "2026-10-14",
    "2026-06-18": "2026-06-23",
    "2026-01-16": "2026-01-21",
    "2026-02-13": "2026-02-18",
    "2026-05-22": "2026-05-27",
    "2026-09-04": "2026-09-09",
    "2027-06-17": "2027-06-22",  # Juneteenth is a Saturday, kept on Friday
    "2027-07-02": "2027-07-07",  # 4 July is a Sunday, kept on Monday
    "2027-12-29": "2028-01-03",  # New Year's Day of the next year kept on 31 December
    "2028-02-28": "2028-03-01",
    "2024-12-24": "2024-12-27",
    "2026-10-30": "2026-11-03",  # the clock goes back on Sunday
    "2026-10-29": "2026-11-02",
    "2026-03-06": "2026-03-10",  # the clock goes forward on Sunday
    "2026-03-05": "2026-03-09",
}
ZONES = ("America/Los_Angeles", "America/Phoenix", "America/St_Johns", "Pacific/Honolulu", "Pacific/Guam")
DATES = [clock(day, due) for day, due in DUE.items()]
DATES += [clock(day, DUE[day], zone) for zone in ZONES for day in ("2026-10-30", "2026-11-25")]


def home(end: str, says: Says, *, sentence: str, **options: str) -> Table:
    return story(sentence, stay("a", "09-25 08:00", end), dis_tcm=says, **options)  # type: ignore[arg-type]


def on(day: str, due: str) -> Says:
    return yes(discharge_date=day, contact_due=due)


OVER = no("period_over", discharge_date="2026-10-23", without="community_discharge")
PERIOD = (
    home(
        "2026-11-24T03:00:00Z",
        on("2026-11-23", "2026-11-25T23:59:59-05:00"),
        as_of="11-24 12:00",
        sentence="an evening that is tomorrow in UTC",
    ),
    home(
        "2026-11-21T13:00:00+09:00",
        on("2026-11-20", "2026-11-24T23:59:59-05:00"),
        sentence="an offset from far away",
    ),
    home(
        "2026-11-21T07:59:00Z",
        on("2026-11-20", "2026-11-24T23:59:59-08:00"),
        timezone="America/Los_Angeles",
        sentence="one minute to midnight in Los Angeles",
    ),
    home(
        "2026-11-21T07:59:00Z",
        on("2026-11-21", "2026-11-24T23:59:59-05:00"),
        sentence="and that minute in Detroit",
    ),
    home(
        "2026-11-01T05:30:00Z",
        on("2026-11-01", "2026-11-03T23:59:59-05:00"),
        sentence="the hour that comes twice",
    ),
    home(
        "11-20 00:00",
        on("2026-11-20", "2026-11-24T23:59:59-05:00"),
        sentence="midnight belongs to the new day",
    ),
    home("11-22 14:59", on("2026-11-22", "2026-11-24T23:59:59-05:00"), sentence="a minute ago"),
    home(
        "10-24 12:00",
        yes(discharge_date="2026-10-24", contact_due="2026-10-27T23:59:59-04:00", period_end="2026-11-22"),
        sentence="day 29",
    ),
    home("10-24 00:00", yes(), as_of="11-22 23:59", sentence="day 29 to its last minute"),
    home("10-24 23:59", no("period_over"), as_of="11-23 00:00", sentence="day 30 from its first minute"),
    home("10-23 23:59", OVER, sentence="day 30"),
    home("10-24 12:00", yes(), as_of="2026-11-23T04:30:00Z", sentence="day 29 local where UTC says 30"),
    home("10-24 12:00", no("period_over"), as_of="2026-11-23T05:30:00Z", sentence="day 30 local and UTC"),
    home("10-22 12:00", no("period_over"), sentence="day 31"),
)

A = stay("a", "11-01 08:00", "11-10 12:00")
EPISODES = (
    story(
        "the newest stay speaks",
        A,
        stay("b", "11-16 08:00", "11-19 12:00"),
        dis_tcm=yes(discharge_date="2026-11-19", period_end="2026-12-18"),
    ),
    story(
        "an open later stay closes the episode",
        A,
        inside("b", "11-16 08:00"),
        dis_tcm=no("stay_open", without="community_discharge"),
    ),
    story(
        "a later stay that ended against advice closes it",
        A,
        stay("b", "11-16 08:00", "11-19 12:00", out="aadvice"),
        dis_tcm=no(),
        dis_ama=yes(discharge_date="2026-11-19"),
    ),
    story(
        "a later stay that went on elsewhere closes it",
        A,
        stay("b", "11-16 08:00", "11-20 12:00", out="rehab"),
        dis_tcm=no("transfer_awaited"),
    ),
    story(
        "a later stay that ended in long-term care closes it",
        A,
        stay("b", "11-16 08:00", "11-20 12:00", out="long"),
        dis_tcm=no("long_term_care"),
    ),
    story(
        "a later observation closes it",
        A,
        stay("b", "11-16 08:00", "11-17 12:00", code="OBSENC"),
        dis_tcm=yes(discharge_date="2026-11-17"),
    ),
    story(
        "a later stay in an SNF closes it",
        A,
        snf("b", "11-16 08:00", "11-18 12:00"),
        dis_tcm=yes(discharge_date="2026-11-18"),
    ),
    story(
        "a later stay without an end closes it",
        A,
        stay("b", "11-16 08:00"),
        dis_tcm=cannot_tell("discharge_date_missing"),
    ),
    story(
        "a later ED visit does not",
        A,
        er("x", "11-16 08:00", "11-16 12:00"),
        dis_tcm=yes(discharge_date="2026-11-10"),
    ),
    story(
        "a later stay that was cancelled does not",
        A,
        stay("b", "11-16 08:00", "11-19 12:00", status="cancelled"),
        dis_tcm=yes(discharge_date="2026-11-10"),
    ),
    story(
        "a stay that is to come does not",
        A,
        stay("b", "11-26 08:00", "11-29 12:00"),
        dis_tcm=yes(discharge_date="2026-11-10"),
    ),
    story(
        "three stays in a month",
        stay("z", "10-24 08:00", "10-28 12:00"),
        A,
        stay("b", "11-16 08:00", "11-19 12:00"),
        dis_tcm=yes(discharge_date="2026-11-19"),
        dis_readmit=yes(readmission_date="2026-11-16"),
    ),
    story(
        "nobody was there",
        dis_tcm=no("no_stay", flags=""),
        dis_ama=no("no_stay"),
        dis_snf=no("no_stay"),
        dis_readmit=no("no_stay"),
        ed_fu=no("no_stay"),
        ed_overuse=no(value=0),
    ),
)

TABLE = tell(*DATES, *PERIOD, *EPISODES)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_the_clock_of_a_discharge(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])


def test_every_episode_is_told_with_its_own_outcome() -> None:
    table = story("two", A, stay("b", "11-16 08:00", "11-19 12:00"), dis_tcm=yes())
    (decision,) = decide_all(table).values()
    told = [(e["discharge_date"], e["outcome"], e["reasons"]) for e in decision["facts"]["episodes"]]
    assert told == [
        ("2026-11-10", "not_eligible", ["readmitted"]),
        ("2026-11-19", "eligible", ["community_discharge"]),
    ]


def test_only_the_eligible_have_a_priority() -> None:
    (decision,) = decide_all(home("10-23 12:00", OVER, sentence="over")).values()
    assert "priority" not in decision["facts"]
