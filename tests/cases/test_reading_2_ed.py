"""Reading of rules 2.8 and 2.9: the visit to the emergency department, its follow-up, and how often."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.cases.fhir_json import condition, consent, diagnosis
from tests.cases.harness import Json
from tests.cases.stories import (
    Says,
    Table,
    cannot_tell,
    decide_all,
    er,
    inside,
    no,
    stay,
    story,
    tell,
    typed,
    verify,
    visit,
    yes,
)

VISIT = er("x", "11-20 08:00", "11-20 12:00")
OPEN = yes(
    flags="",
    visit_date="2026-11-20",
    contact_due="2026-11-24T23:59:59-05:00",
    visit_due="2026-11-27",
    priority="routine",
)


def ended(end: str, says: Says, *, sentence: str, start: str | None = None, **options: str) -> Table:
    begun = start or f"{end[:5]} 00:00"
    return story(sentence, er("x", begun, end), ed_fu=says, **options)  # type: ignore[arg-type]


TIMES = (
    story("an ED visit", VISIT, ed_fu=OPEN),
    ended(
        "11-21 15:00",
        yes(contact_due="2026-11-24T23:59:59-05:00", visit_due="2026-11-28"),
        sentence="24 hours ago",
    ),
    ended("11-21 15:01", no("ed_too_recent", visit_date="2026-11-21"), sentence="a minute less"),
    ended("11-15 00:10", yes(visit_due="2026-11-22"), sentence="seven days ago"),
    ended("11-14 23:50", no(), sentence="eight days ago"),
    ended(
        "11-15 01:00",
        yes(visit_date="2026-11-14", visit_due="2026-11-22"),
        start="11-14 20:00",
        sentence="seven days from the end, eight from the start",
    ),
    ended("11-15 12:00", yes(), as_of="11-22 23:59", sentence="day seven to its last minute"),
    ended("11-15 12:00", no(), as_of="11-23 00:00", sentence="day eight from its first minute"),
    ended(
        "2026-11-21T04:00:00Z",
        yes(visit_date="2026-11-20", visit_due="2026-11-27"),
        start="2026-11-21T01:00:00Z",
        sentence="an evening that is tomorrow in UTC",
    ),
    ended(
        "11-20 12:00",
        yes(contact_due="2026-11-24T23:59:59-08:00"),
        timezone="America/Los_Angeles",
        sentence="the offset of the practice",
    ),
    ended(
        "11-24 12:00",
        yes(contact_due="2026-11-27T23:59:59-05:00"),
        as_of="11-25 12:00",
        sentence="Thanksgiving",
    ),
    ended(
        "10-30 12:00",
        yes(contact_due="2026-11-03T23:59:59-05:00", visit_due="2026-11-06"),
        as_of="11-01 12:00",
        sentence="over the change of the clock",
    ),
    story("days without times", er("x", "2026-11-20", "2026-11-20"), ed_fu=yes(visit_date="2026-11-20")),
    story(
        "the practice follows up for ten days",
        er("x", "11-12 08:00", "11-12 12:00"),
        settings={"ed.followup_days": "10"},
        ed_fu=yes(visit_due="2026-11-22"),
    ),
    story(
        "a cancelled visit", er("x", "11-20 08:00", "11-20 12:00", status="cancelled"), ed_fu=no("no_stay")
    ),
    story(
        "the newest of two", er("w", "11-17 08:00", "11-17 12:00"), VISIT, ed_fu=yes(visit_date="2026-11-20")
    ),
    story(
        "the older of two where the newer is too young",
        er("w", "11-17 08:00", "11-17 12:00"),
        er("x", "11-22 08:00", "11-22 12:00"),
        ed_fu=yes(visit_date="2026-11-17"),
    ),
)


def then(
    sentence: str, says: Says, start: str = "11-21 09:00", end: str | None = None, **more: object
) -> Table:
    return story(sentence, VISIT, visit("v", start, end, **more), ed_fu=says)


SEEN, NOT_SEEN = no("followed_up"), yes(without="followed_up")
FOLLOWED = (
    *(then(f"a finished {code} encounter follows up", SEEN, code=code) for code in ("AMB", "VR", "HH")),
    *(then(f"a finished {code} encounter does not", NOT_SEEN, code=code) for code in ("FLD", "PRENC")),
    *(
        then(f"one that is {s} does not", NOT_SEEN, status=s)
        for s in ("planned", "arrived", "in-progress", "cancelled", "entered-in-error", "unknown")
    ),
    *(then(f"type {c} does not", NOT_SEEN, type=typed(c)) for c in ("702927004", "308646001")),
    then("another type does", SEEN, type=typed("185349003")),
    then("hours later on the same day", SEEN, "11-20 15:00"),
    then("hours before on the same day", NOT_SEEN, "11-20 07:00", "11-20 07:30"),
    then("during the ED visit", NOT_SEEN, "11-20 09:00", "11-20 09:30"),
    then("the day before", NOT_SEEN, "11-19 09:00"),
    then("the next day without a time", SEEN, "2026-11-21"),
    then("the day before without a time", NOT_SEEN, "2026-11-19"),
    then("in the coming week", NOT_SEEN, "11-25 09:00"),
    then("an encounter of no known class does not", NOT_SEEN, **{"class": {"code": "office"}}),
    story(
        "a second ED visit does not follow up the first",
        VISIT,
        er("y", "11-21 08:00", "11-21 10:00"),
        ed_fu=yes(visit_date="2026-11-21"),
    ),
    story(
        "a visit after the first only",
        er("w", "11-17 08:00", "11-17 12:00"),
        visit("v", "11-18 09:00"),
        VISIT,
        ed_fu=yes(visit_date="2026-11-20"),
    ),
    story(
        "somebody else's visit",
        VISIT,
        {"resourceType": "Patient", "id": "p2", "birthDate": "1970-01-01"},
        visit("v", "11-21 09:00", subject={"reference": "Patient/p2"}),
        ed_fu=OPEN,
    ),
)

RETURN = no("ed_return")
STAYS = (
    story(
        "within a transition period",
        stay("a", "11-05 08:00", "11-10 12:00"),
        VISIT,
        ed_fu=RETURN,
        dis_tcm=yes(discharge_date="2026-11-10"),
        ed_overuse=no(value=1),
    ),
    story("on the day of discharge", stay("a", "11-17 08:00", "11-20 07:00"), VISIT, ed_fu=RETURN),
    story(
        "on day 29",
        stay("a", "10-05 08:00", "10-22 12:00"),
        er("x", "11-20 08:00", "11-20 12:00"),
        as_of="11-22 15:00",
        dis_tcm=no("period_over"),
        ed_fu=RETURN,
    ),
    story("on day 30", stay("a", "10-05 08:00", "10-21 12:00"), VISIT, ed_fu=OPEN),
    *(
        story(
            f"after a stay that ended with {out} there is no episode",
            stay("a", "11-05 08:00", "11-10 12:00", out=out),
            VISIT,
            ed_fu=yes(without="ed_return"),
        )
        for out in ("aadvice", "long", "snf")
    ),
    story(
        "after a stay that ended somewhere unknown there is one",
        stay("a", "11-05 08:00", "11-10 12:00", out=None),
        VISIT,
        ed_fu=RETURN,
    ),
    story("it became a stay", VISIT, stay("a", "11-20 12:00", "11-21 12:00"), ed_fu=no("became_stay")),
    story("it became a stay that is open", VISIT, inside("a", "11-20 12:00"), ed_fu=no("became_stay")),
    story("an open stay that began later", VISIT, inside("a", "11-22 08:00"), ed_fu=no("stay_open")),
    story("a forgotten open stay does not hide it", VISIT, inside("a", "09-01 08:00"), ed_fu=yes()),
    story("it was inside an open stay", VISIT, inside("a", "11-10 08:00"), ed_fu=no(without="ed_return")),
    story(
        "it was inside a pre-admission, which is nothing",
        VISIT,
        inside("a", "11-10 08:00", code="PRENC"),
        ed_fu=OPEN,
    ),
)

ED_OUT = {"ed_fu": yes(has="transfer_unseen", visit_date="2026-11-20")}


def er_out(out: object) -> Json:
    return er("x", "11-20 08:00", "11-20 12:00", out=out)


OUT = (
    story(
        "against advice is urgent",
        er_out("aadvice"),
        ed_fu=yes(has="left_against_advice", priority="urgent", visit_due="2026-11-27"),
    ),
    story("sent on, within two business days", er_out("other-hcf"), ed_fu=no(without="transfer_unseen")),
    story("sent on, Tuesday's last minute", er_out("other-hcf"), as_of="11-24 23:59", ed_fu=no()),
    story("sent on, Wednesday", er_out("other-hcf"), as_of="11-25 00:01", **ED_OUT),
    story("sent to an SNF, Wednesday", er_out("snf"), as_of="11-25 00:01", **ED_OUT),
    story(
        "sent on and seen there",
        er_out("other-hcf"),
        stay("a", "11-21 08:00", "11-23 12:00"),
        as_of="11-25 00:01",
        ed_fu=no("became_stay"),
    ),
    story("without a disposition it is followed up", er_out(None), ed_fu=yes(visit_date="2026-11-20")),
    story("to long-term care it is followed up", er_out("long"), ed_fu=yes()),
    story("into hospice it is not", er_out("hosp"), ed_fu=no("GX-02"), ed_overuse=no("GX-02")),
    story("the dead are not", er_out("exp"), ed_fu=no("GX-01")),
)

URGENT = yes(has="multiple_chronic_conditions", priority="urgent")
PLAIN = yes(without="multiple_chronic_conditions", priority="routine")


def ill(sentence: str, says: Says, *conditions: Json) -> Table:
    return story(sentence, VISIT, *conditions, ed_fu=says)


def two(first: str, second: str) -> tuple[Json, Json]:
    return condition(first, "c1"), condition(second, "c2")


PAIRS = {
    "J44.9 I50.9": URGENT,
    "J45.909 I50.22": URGENT,
    "F03.90 N18.30": URGENT,
    "F33.1 I48.91": URGENT,
    "I21.4 I63.9": URGENT,
    "G45.9 N18.6": URGENT,
    "I48.0 I50.9": URGENT,
    "G30.9 F32.1": URGENT,
    "J44.9 J45.909": PLAIN,
    "I50.9 I50.22": PLAIN,
    "I48.0 I48.91": PLAIN,
    "N18.30 N18.4": PLAIN,
    "I63.9 G45.9": PLAIN,
    "E11.9 I10": PLAIN,
    "E11.9 I50.9": PLAIN,
}
HEART = condition("I50.9", "h")
ILL = (
    *(ill(f"{pair}", says, *two(*pair.split())) for pair, says in PAIRS.items()),
    ill("a diagnosis of last year counts", URGENT, HEART, diagnosis("J44.9", "2025-02-03", "d")),
    ill("a diagnosis of the year before does not", PLAIN, HEART, diagnosis("J44.9", "2024-12-30", "d")),
    ill(
        "a diagnosis of the day after the visit does not", PLAIN, HEART, diagnosis("J44.9", "2026-11-21", "d")
    ),
    ill(
        "a condition that began after the visit does not",
        PLAIN,
        HEART,
        condition("J44.9", "c", recordedDate="2026-11-21", onsetDateTime="2026-11-21"),
    ),
    ill("a refuted condition does not", PLAIN, HEART, condition("J44.9", "c", verification="refuted")),
    ill("a condition resolved long ago does not", PLAIN, HEART, condition("J44.9", "c", clinical="resolved")),
)


def times(sentence: str, days: list[str], says: Says, *more: Json, **options: object) -> Table:
    visits = [er(f"x{n}", f"{day}T08:00:00-05:00", f"{day}T12:00:00-05:00") for n, day in enumerate(days)]
    return story(sentence, *visits, *more, ed_overuse=says, **options)  # type: ignore[arg-type]


BEFORE = [str(date(2026, 11, 22) - timedelta(n)) for n in (30, 60, 90, 120, 150)]
OFTEN = (
    times("five", BEFORE, yes(value=5, without="ed_watch")),
    times("four", BEFORE[:4], yes(value=4, without="ed_watch")),
    times("three are watched", BEFORE[:3], no(value=3, has="ed_watch")),
    times("two are not", BEFORE[:2], no(value=2, without="ed_watch")),
    times("two on one day count once", [*BEFORE[:3], BEFORE[0]], no(value=3, has="ed_watch")),
    times("five with two on one day", [*BEFORE[:4], BEFORE[0]], yes(value=4)),
    times("the day 364 days ago", [*BEFORE[:3], "2025-11-23"], yes(value=4)),
    times("not the day 365 days ago", [*BEFORE[:3], "2025-11-22"], no(value=3)),
    times(
        "an evening that is inside in UTC only",
        BEFORE[:3],
        no(value=3),
        er("y", "2025-11-23T03:00:00Z", "2025-11-23T08:00:00Z"),
    ),
    times("today", [*BEFORE[:3], "2026-11-22"], yes(value=4)),
    times("a day to come", [*BEFORE[:3], "2026-11-25"], no(value=3, has="future_date")),
    times(
        "one that became a stay does not count",
        BEFORE[:3],
        no(value=3),
        er("y", "11-20 08:00", "11-20 12:00"),
        stay("a", "11-20 20:00", "11-21 12:00"),
    ),
    times(
        "one within a transition period counts",
        BEFORE[:3],
        yes(value=4),
        er("y", "11-20 08:00", "11-20 12:00"),
        stay("a", "11-05 08:00", "11-10 12:00"),
    ),
    times("one that is open counts", BEFORE[:3], yes(value=4), er("y", "11-22 08:00", status="in-progress")),
    times(
        "one that was never closed counts",
        BEFORE[:3],
        yes(value=4),
        er("y", "06-01 08:00", status="in-progress"),
    ),
    times("one without an end counts", BEFORE[:3], yes(value=4), er("y", "06-01 08:00")),
    times(
        "one that was cancelled does not",
        BEFORE[:3],
        no(value=3),
        er("y", "06-01 08:00", "06-01 09:00", status="cancelled"),
    ),
    times(
        "one over midnight counts on its first day",
        BEFORE[:2],
        no(value=3),
        er("y", "06-01 20:00", "06-02 09:00"),
        er("z", "06-01 04:00", "06-01 05:00"),
    ),
    times("three are many where told so", BEFORE[:3], yes(value=3), settings={"ed.freq": "3"}),
    times("four are few where told so", BEFORE[:4], no(value=4, has="ed_watch"), settings={"ed.freq": "5"}),
    times("who declined is left alone", BEFORE, no("GX-03"), consent("deny", "2026-11-01")),
    story(
        "who declined is still called after an ED visit", VISIT, consent("deny", "2026-11-01"), ed_fu=yes()
    ),
    story(
        "an ED visit without an end and four others",
        *(er(f"x{n}", day, day) for n, day in enumerate(BEFORE[:4])),
        er("y", "11-20 08:00"),
        ed_overuse=yes(value=5),
        ed_fu=cannot_tell(),
    ),
)

TABLE = tell(*TIMES, *FOLLOWED, *STAYS, *OUT, *ILL, *OFTEN)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_emergency_visits(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])
