"""Reading of rule 2.2: what the days between encounters make of them, and which member decides."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import codings
from tests.cases.harness import Json
from tests.cases.stories import (
    HL7,
    decide_all,
    er,
    inside,
    no,
    nubc,
    stay,
    story,
    tell,
    verify,
    yes,
)

APART = yes("readmitted")
ONE = no(without="readmitted")
D18, D20 = yes(discharge_date="2026-11-18"), yes(discharge_date="2026-11-20")
FIRST = stay("a", "11-10 08:00", "11-12 20:00")

SAME_DAY = (
    story(
        "a return on the day of discharge is one stay",
        stay("a", "11-10 08:00", "11-12 00:30"),
        stay("b", "11-12 23:59", "11-18 12:00"),
        dis_tcm=D18,
        dis_readmit=ONE,
    ),
    story(
        "a return after midnight is a readmission",
        stay("a", "11-10 08:00", "11-12 23:30"),
        stay("b", "11-13 00:10", "11-18 12:00"),
        dis_tcm=D18,
        dis_readmit=yes(index_discharge_date="2026-11-12", readmission_date="2026-11-13"),
    ),
    story(
        "one local day counts where UTC sees two",
        stay("a", "11-10 08:00", "2026-11-12T23:00:00Z"),
        stay("b", "2026-11-13T01:00:00Z", "11-18 12:00"),
        dis_readmit=ONE,
    ),
    story(
        "two local days count where UTC sees one",
        stay("a", "11-10 08:00", "2026-11-13T04:30:00Z"),
        stay("b", "2026-11-13T05:30:00Z", "11-18 12:00"),
        dis_readmit=yes(index_discharge_date="2026-11-12", readmission_date="2026-11-13"),
    ),
    story(
        "an observation on the day of discharge is the same stay",
        stay("a", "11-10 08:00", "11-18 08:00"),
        stay("b", "11-18 20:00", "11-20 12:00", code="OBSENC"),
        dis_tcm=D20,
    ),
    story(
        "a return on the day after leaving against advice is not one stay",
        stay("a", "11-10 08:00", "11-12 23:30", out="aadvice"),
        stay("b", "11-13 00:10", "11-18 12:00"),
        dis_readmit=APART,
        dis_tcm=D18,
    ),
    story(
        "an ED visit in the morning and an admission in the evening are one stay",
        er("x", "11-18 08:00", "11-18 10:00"),
        stay("a", "11-18 22:00", "11-20 12:00"),
        dis_tcm=D20,
        ed_fu=no("became_stay"),
        ed_overuse=no(value=0),
    ),
    story(
        "days without a time touch",
        stay("a", "2026-11-10", "2026-11-15"),
        stay("b", "2026-11-15", "2026-11-18"),
        dis_tcm=D18,
        dis_readmit=ONE,
    ),
    story(
        "an ED visit and an admission of one day without times are one stay",
        er("x", "2026-11-15", "2026-11-15"),
        stay("a", "2026-11-15", "2026-11-18"),
        dis_tcm=D18,
        ed_fu=no("became_stay"),
    ),
    story(
        "an ED visit on the day of discharge without times is a return",
        stay("a", "2026-11-10", "2026-11-18"),
        er("x", "2026-11-18", "2026-11-18"),
        dis_tcm=D18,
        ed_fu=no("ed_return"),
        ed_overuse=no(value=1),
    ),
    story(
        "two ED visits of one day without times are two that count once",
        er("x", "2026-11-18", "2026-11-18"),
        er("y", "2026-11-18", "2026-11-18"),
        ed_overuse=no(value=1),
    ),
)

DAY_LATER = (
    story(
        "an admission 24 hours after an ED visit belongs to it",
        er("x", "11-16 18:00", "11-16 20:00"),
        stay("a", "11-17 20:00", "11-20 12:00"),
        ed_overuse=no(value=0),
        ed_fu=no("became_stay"),
    ),
    story(
        "an admission a minute later does not",
        er("x", "11-16 18:00", "11-16 20:00"),
        stay("a", "11-17 20:01", "11-20 12:00"),
        ed_overuse=no(value=1),
    ),
    story(
        "hours are hours when the clock goes back",
        er("x", "10-31 18:00", "10-31 20:00"),
        stay("a", "11-01 19:30", "11-18 12:00"),
        ed_overuse=no(value=1),
    ),
    story(
        "and 24 of them still link",
        er("x", "10-31 18:00", "10-31 20:00"),
        stay("a", "11-01 19:00", "11-18 12:00"),
        ed_overuse=no(value=0),
    ),
    story(
        "a stay within 24 hours of a transfer goes on",
        stay("a", "11-10 08:00", "11-12 20:00", out="other-hcf"),
        stay("b", "11-13 20:00", "11-18 12:00"),
        dis_tcm=yes(flags="", discharge_date="2026-11-18"),
        dis_readmit=ONE,
    ),
    story(
        "so does one after a transfer to an SNF",
        stay("a", "11-10 08:00", "11-12 20:00", out="snf"),
        stay("b", "11-13 20:00", "11-18 12:00"),
        dis_tcm=D18,
        dis_readmit=ONE,
        dis_snf=no(),
    ),
    story(
        "so does one after a missing disposition, with a flag",
        stay("a", "11-10 08:00", "11-12 20:00", out=None),
        stay("b", "11-13 20:00", "11-18 12:00"),
        dis_tcm=yes(has="possible_readmission", discharge_date="2026-11-18"),
        dis_readmit=ONE,
    ),
    story(
        "a disposition that nobody knows is one, so the next day is a readmission",
        stay("a", "11-10 08:00", "11-12 20:00", out=codings(("urn:x", "H"))),
        stay("b", "11-13 20:00", "11-18 12:00"),
        dis_tcm=yes(without="possible_readmission"),
        dis_readmit=APART,
    ),
    story(
        "so is a disposition that is only text",
        stay("a", "11-10 08:00", "11-12 20:00", out={"text": "Home"}),
        stay("b", "11-13 20:00", "11-18 12:00"),
        dis_readmit=APART,
    ),
    story(
        "so is the code for other",
        stay("a", "11-10 08:00", "11-12 20:00", out="oth"),
        stay("b", "11-13 20:00", "11-18 12:00"),
        dis_readmit=APART,
    ),
    story(
        "25 hours after a missing disposition is a readmission",
        stay("a", "11-10 08:00", "11-12 20:00", out=None),
        stay("b", "11-13 21:00", "11-18 12:00"),
        dis_tcm=yes(without="possible_readmission"),
        dis_readmit=APART,
    ),
    story(
        "a stay the day after a discharge home is a readmission",
        stay("a", "11-10 08:00", "11-12 20:00"),
        stay("b", "11-13 08:00", "11-18 12:00"),
        dis_tcm=yes(flags=""),
        dis_readmit=APART,
    ),
    story(
        "and after a discharge into long-term care",
        stay("a", "11-10 08:00", "11-12 20:00", out="long"),
        stay("b", "11-13 08:00", "11-18 12:00"),
        dis_readmit=APART,
    ),
    story(
        "one day of a missing disposition is the same day, without a flag",
        stay("a", "11-10 08:00", "11-12 08:00", out=None),
        stay("b", "11-12 20:00", "11-18 12:00"),
        dis_tcm=yes(without="possible_readmission", discharge_date="2026-11-18"),
    ),
    story(
        "ED, observation and ward are one stay",
        er("x", "11-15 20:00", "11-15 23:30", out=None),
        stay("o", "11-15 23:30", "11-16 10:00", code="OBSENC", out=None),
        stay("a", "11-16 10:00", "11-18 15:00"),
        dis_tcm=yes(flags="", discharge_date="2026-11-18"),
        ed_fu=no("became_stay"),
        ed_overuse=no(value=0),
        dis_readmit=ONE,
    ),
)

DECIDES = (
    story(
        "of two that end together the ward decides over the observation",
        stay("a", "11-17 08:00", "11-20 12:00"),
        stay("o", "11-18 08:00", "11-20 12:00", code="OBSENC", out="aadvice"),
        dis_tcm=D20,
        dis_ama=no(),
    ),
    story(
        "and the ward over the post-acute unit",
        stay("a", "11-17 08:00", "11-20 12:00"),
        stay("o", "11-18 08:00", "11-20 12:00", code="NONAC", out="aadvice"),
        dis_tcm=D20,
        dis_ama=no(),
    ),
    story(
        "and the post-acute unit over the observation",
        stay("o", "11-18 08:00", "11-20 12:00", code="OBSENC", out="aadvice"),
        stay("a", "11-17 08:00", "11-20 12:00", code="NONAC"),
        dis_tcm=D20,
        dis_ama=no(),
    ),
    story(
        "of two wards that end together the later start decides",
        stay("a", "11-18 08:00", "11-20 12:00"),
        stay("b", "11-17 08:00", "11-20 12:00", out="aadvice"),
        dis_tcm=D20,
        dis_ama=no(),
    ),
    story(
        "the last disposition counts, not the last but one",
        stay("a", "11-17 08:00", "11-18 12:00", out="aadvice"),
        stay("b", "11-18 12:00", "11-20 12:00"),
        dis_tcm=D20,
        dis_ama=no(),
    ),
    story(
        "the stay begins with its ED visit",
        stay("old", "10-01 08:00", "11-10 12:00"),
        er("x", "11-13 22:00", "11-14 02:00"),
        stay("a", "11-14 02:00", "11-18 12:00"),
        dis_readmit=yes(readmission_date="2026-11-13", index_discharge_date="2026-11-10"),
    ),
    story(
        "a cancelled admission joins nothing",
        FIRST,
        stay("c", "11-12 10:00", "11-15 09:00", status="cancelled"),
        stay("b", "11-15 08:00", "11-18 12:00"),
        dis_readmit=APART,
    ),
    story(
        "a mistaken admission moves nothing",
        stay("a", "11-17 08:00", "11-18 12:00"),
        stay("b", "11-18 11:00", "11-20 12:00", status="entered-in-error"),
        dis_tcm=D18,
    ),
    story(
        "a planned admission is none yet",
        stay("a", "11-17 08:00", "11-18 12:00"),
        inside("b", "11-22 08:00", status="planned"),
        dis_tcm=D18,
        dis_readmit=no(),
    ),
    story(
        "an admission of unknown status is ignored",
        stay("a", "11-17 08:00", "11-18 12:00"),
        inside("b", "11-21 08:00", status="unknown"),
        dis_tcm=D18,
        dis_readmit=no(),
    ),
    story(
        "an admission for the coming week is not there yet",
        stay("a", "11-17 08:00", "11-18 12:00"),
        inside("b", "11-25 08:00"),
        dis_tcm=yes(has="future_date", discharge_date="2026-11-18"),
    ),
    story(
        "still a patient by number is no discharge",
        stay("a", "11-17 08:00", "11-18 12:00", out=nubc("30")),
        dis_tcm=no(without="community_discharge"),
    ),
    story(
        "an HL7 code and an NUBC number that agree are no conflict",
        stay("a", "11-17 08:00", "11-18 12:00", out=codings((HL7, "home"), ("urn:x", "1"))),
        dis_tcm=yes(without="class_conflict disposition_missing"),
    ),
)

TABLE = tell(*SAME_DAY, *DAY_LATER, *DECIDES)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_days_between_encounters(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])
