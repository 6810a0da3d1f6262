"""Reading of rules 2.2 and 2.3 on encounters that are open, undated, stale, or dated vaguely."""

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

OPEN, STALE, LEFT_OUT = (
    no("stay_open"),
    cannot_tell("status_stale"),
    no(has="status_stale", without="stay_open"),
)
UNDATED = cannot_tell("discharge_date_missing")
D20 = yes("community_discharge", discharge_date="2026-11-20")
LATER = stay("b", "11-15 08:00", "11-20 12:00")

OPEN_ONES = (
    *(
        story(
            f"{status} is open",
            inside("a", "11-20 08:00", status=status),
            dis_tcm=OPEN,
            dis_ama=no(),
            dis_snf=no(),
            dis_readmit=no(),
        )
        for status in ("in-progress", "onleave", "arrived", "triaged")
    ),
    story("a stay may be open for 60 days", inside("a", "09-23 08:00"), dis_tcm=OPEN),
    story("after 61 it is left out", inside("a", "09-22 08:00"), dis_tcm=LEFT_OUT),
    story(
        "an SNF stay may be open for 120 days",
        in_snf("a", "07-25 08:00"),
        dis_tcm=OPEN,
        dis_snf=yes("snf_open"),
    ),
    story(
        "after 121 it is left out",
        in_snf("a", "07-24 08:00"),
        dis_tcm=LEFT_OUT,
        dis_snf=no(has="status_stale"),
    ),
    story(
        "an observation may be open for three days", inside("a", "11-19 08:00", code="OBSENC"), dis_tcm=OPEN
    ),
    story("after four it is left out", inside("a", "11-18 08:00", code="OBSENC"), dis_tcm=LEFT_OUT),
    story(
        "the practice may say 30 days",
        inside("a", "10-23 08:00"),
        settings={"dis.open_max_days": "30"},
        dis_tcm=OPEN,
    ),
    story(
        "and then 31 are too many",
        inside("a", "10-22 08:00"),
        settings={"dis.open_max_days": "30"},
        dis_tcm=LEFT_OUT,
    ),
    story(
        "an ED visit open for three days is not judged yet",
        er("x", "11-19 08:00", status="in-progress"),
        ed_fu=no(without="followed_up"),
        ed_overuse=no(value=1),
    ),
    story(
        "an ED visit open for four days is not believed",
        er("x", "11-18 08:00", status="in-progress"),
        ed_fu=STALE,
        ed_overuse=no(value=1),
    ),
    story("nor through day seven", er("x", "11-15 08:00", status="in-progress"), ed_fu=STALE),
    story(
        "on day eight it no longer matters",
        er("x", "11-14 08:00", status="in-progress"),
        ed_fu=no(),
        ed_overuse=no(value=1),
    ),
    story(
        "a forgotten stay of long ago hides no discharge",
        inside("a", "09-01 08:00"),
        LATER,
        dis_tcm=yes("community_discharge", has="status_stale", discharge_date="2026-11-20"),
    ),
    story(
        "a forgotten stay of this autumn makes the later discharge doubtful",
        inside("a", "10-01 08:00"),
        LATER,
        dis_tcm=STALE,
        dis_ama=no(),
        dis_snf=no(),
    ),
    story(
        "also where that one left against advice",
        inside("a", "10-01 08:00"),
        stay("b", "11-15 08:00", "11-20 12:00", out="aadvice"),
        dis_tcm=STALE,
        dis_ama=STALE,
    ),
    story(
        "also where that one went to an SNF",
        inside("a", "10-01 08:00"),
        stay("b", "11-15 08:00", "11-20 12:00", out="snf"),
        dis_tcm=STALE,
        dis_snf=STALE,
    ),
    story(
        "for a day it may be a stay that goes on",
        inside("a", "11-10 08:00"),
        stay("b", "11-15 08:00", "11-21 15:00"),
        dis_tcm=OPEN,
    ),
    story(
        "for a day and a minute it may not",
        inside("a", "11-10 08:00"),
        stay("b", "11-15 08:00", "11-21 14:59"),
        dis_tcm=STALE,
    ),
    story(
        "a member that began last and is open keeps the stay open",
        stay("a", "11-10 08:00", "11-15 08:00"),
        inside("b", "11-15 10:00"),
        dis_tcm=OPEN,
        dis_readmit=no(),
    ),
    story(
        "a forgotten ED account makes its stay doubtful",
        er("x", "11-20 20:00", status="in-progress"),
        stay("a", "11-21 00:00", "11-21 10:00"),
        dis_tcm=STALE,
    ),
    story(
        "an open SNF stay under a hospital stay that is over",
        in_snf("s", "10-01 08:00"),
        LATER,
        dis_tcm=STALE,
        dis_snf=STALE,
    ),
)

ENDED = (
    story(
        "an open stay that ended 24 hours ago may still be closed",
        inside("a", "11-17 08:00", "11-21 15:00"),
        dis_tcm=OPEN,
    ),
    story(
        "an open stay that ended a minute more ago is stale",
        inside("a", "11-17 08:00", "11-21 14:59"),
        dis_tcm=STALE,
        dis_ama=no(),
        dis_snf=no(),
    ),
    story(
        "an open stay with an expected end is open", inside("a", "11-17 08:00", "11-25 12:00"), dis_tcm=OPEN
    ),
    story(
        "an open stay that ended, of long ago, is left out",
        inside("a", "09-22 08:00", "11-18 12:00"),
        dis_tcm=LEFT_OUT,
    ),
    story(
        "an open stay that ended and had a day to spare",
        inside("a", "09-23 08:00", "11-18 12:00"),
        dis_tcm=STALE,
    ),
    story(
        "an open SNF stay that ended is stale there too",
        in_snf("a", "11-01 08:00", "11-18 12:00"),
        dis_tcm=STALE,
        dis_snf=STALE,
    ),
    story(
        "an open ED visit that ended is stale",
        er("x", "11-20 08:00", "11-20 12:00", status="in-progress"),
        ed_fu=STALE,
        ed_overuse=no(value=1),
    ),
    story(
        "an open ED visit that ended ten days ago no longer matters",
        er("x", "11-12 08:00", "11-12 12:00", status="in-progress"),
        ed_fu=no(),
        ed_overuse=no(value=1),
    ),
)

UNDATED_ONES = (
    story(
        "finished without an end is a discharge on an unknown day",
        stay("a", "11-10 08:00"),
        dis_tcm=UNDATED,
        dis_ama=no(),
        dis_snf=no(),
        dis_readmit=no(),
    ),
    story(
        "also where it was against advice",
        stay("a", "11-10 08:00", out="aadvice"),
        dis_ama=UNDATED,
        dis_tcm=cannot_tell(),
    ),
    story("also where it was into an SNF", stay("a", "11-10 08:00", out="snf"), dis_snf=UNDATED),
    story("also where it was from an SNF", snf("a", "11-10 08:00"), dis_tcm=UNDATED, dis_snf=UNDATED),
    story("within 60 days", stay("a", "09-23 08:00"), dis_tcm=UNDATED),
    story("but not after 61", stay("a", "09-22 08:00"), dis_tcm=no(without="discharge_date_missing")),
    story("for an observation within three days", stay("a", "11-19 08:00", code="OBSENC"), dis_tcm=UNDATED),
    story("but not after four", stay("a", "11-18 08:00", code="OBSENC"), dis_tcm=no(has="status_stale")),
    story(
        "a later ED visit shows that the patient had left",
        stay("a", "11-10 08:00"),
        er("x", "11-20 08:00", "11-20 12:00"),
        dis_tcm=no(without="discharge_date_missing"),
        ed_fu=yes(),
    ),
    story(
        "an earlier one does not",
        er("x", "11-03 08:00", "11-03 12:00"),
        stay("a", "11-10 08:00"),
        dis_tcm=UNDATED,
    ),
    story(
        "a visit to the practice is no such sign",
        stay("a", "11-10 08:00"),
        visit("v", "11-18 08:00"),
        dis_tcm=UNDATED,
    ),
    story("a later stay is one", stay("a", "11-01 08:00"), LATER, dis_tcm=D20),
    story(
        "but whether that is a readmission cannot be said",
        stay("a", "11-01 08:00"),
        LATER,
        dis_readmit=cannot_tell(),
    ),
    story(
        "an undated end after a known one leaves the stay undated",
        stay("a", "11-10 08:00", "11-15 08:00"),
        stay("b", "11-15 10:00"),
        dis_tcm=UNDATED,
    ),
    story(
        "an undated beginning of a stay that is over is doubtful",
        stay("a", "11-10 08:00"),
        stay("b", "11-10 20:00", "11-15 08:00"),
        dis_tcm=cannot_tell("status_stale"),
    ),
    story(
        "an undated stay reaches to the end of its first day only",
        stay("a", "11-10 08:00"),
        stay("b", "11-11 08:00", "11-18 12:00"),
        dis_tcm=yes(discharge_date="2026-11-18"),
    ),
    story(
        "an ED visit without an end cannot be dated",
        er("x", "11-20 08:00"),
        ed_fu=cannot_tell(),
        ed_overuse=no(value=1),
    ),
    story("through day seven from its start", er("x", "11-15 08:00"), ed_fu=cannot_tell()),
    story("and no longer", er("x", "11-14 08:00"), ed_fu=no(), ed_overuse=no(value=1)),
    story(
        "a finished stay with an end to come is undated",
        stay("a", "11-17 08:00", "11-25 12:00"),
        dis_tcm=UNDATED,
    ),
    story(
        "a finished ED visit with an end to come is undated",
        er("x", "11-21 08:00", "11-25 12:00"),
        ed_fu=cannot_tell(),
        ed_overuse=no(value=1),
    ),
)

VAGUE = cannot_tell(has="partial_date")
PARTIAL = (
    story(
        "a stay that began in a month is left out",
        stay("a", "2026-11", "11-20 12:00"),
        dis_tcm=no(has="partial_date"),
    ),
    story("and one that began in a year", stay("a", "2026", "11-20 12:00"), dis_tcm=no(has="partial_date")),
    story("a stay that ended this month", stay("a", "11-05 08:00", "2026-11"), dis_tcm=VAGUE),
    story(
        "a stay that ended last month may have ended on its last day",
        stay("a", "10-20 08:00", "2026-10"),
        dis_tcm=VAGUE,
    ),
    story(
        "a stay that ended in September is over in any case",
        stay("a", "09-20 08:00", "2026-09"),
        dis_tcm=no("period_over"),
    ),
    story("a stay that ended this year", stay("a", "11-05 08:00", "2026"), dis_tcm=VAGUE),
    story("a stay that ended last year", stay("a", "2025-12-01 08:00", "2025"), dis_tcm=no()),
    story(
        "stays within a vague end are one",
        stay("a", "11-05 08:00", "2026-11"),
        stay("b", "11-15 08:00", "11-18 12:00"),
        dis_tcm=VAGUE,
        dis_readmit=no(),
    ),
    story("an ED visit that ended this month", er("x", "11-18 08:00", "2026-11"), ed_fu=VAGUE),
    story("an ED visit that ended last month", er("x", "10-05 08:00", "2026-10"), ed_fu=no()),
    story(
        "an ED visit that began in a month has no day to count on",
        er("x", "2026-11", "11-20 12:00"),
        ed_fu=no(has="partial_date"),
        ed_overuse=no(value=0, has="partial_date"),
    ),
    story(
        "a day without a time is that day east of the date line",
        stay("a", "2026-11-17", "2026-11-20"),
        timezone="Pacific/Kiritimati",
        dis_tcm=D20,
    ),
    story("and west of it", stay("a", "2026-11-17", "2026-11-20"), timezone="Pacific/Pago_Pago", dis_tcm=D20),
    story(
        "a discharge today without a time",
        stay("a", "2026-11-17", "2026-11-22"),
        dis_tcm=yes(discharge_date="2026-11-22", contact_due="2026-11-24T23:59:59-05:00"),
    ),
    story(
        "a time without an offset is local",
        stay("a", "2026-11-17T10:00:00", "2026-11-20T23:30:00"),
        timezone="America/Los_Angeles",
        dis_tcm=yes(has="dq_no_offset", discharge_date="2026-11-20"),
    ),
    story(
        "fractions of a second",
        stay("a", "2026-11-17T10:00:00.1-05:00", "2026-11-20T23:59:59.999-05:00"),
        dis_tcm=D20,
    ),
    story(
        "minutes without seconds", stay("a", "2026-11-17T10:00-05:00", "2026-11-20T14:00-05:00"), dis_tcm=D20
    ),
)

TABLE = tell(*OPEN_ONES, *ENDED, *UNDATED_ONES, *PARTIAL)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_unfinished_encounters(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])
