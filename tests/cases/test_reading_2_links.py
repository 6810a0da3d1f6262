"""Reading of rule 2.2: which encounters are one stay, by partOf and by overlap."""

from __future__ import annotations

import pytest

from tests.cases.harness import Json
from tests.cases.stories import (
    decide_all,
    er,
    no,
    part_of,
    stay,
    story,
    tell,
    verify,
    visit,
    yes,
)

APART = yes("readmitted")
ONE = no(without="readmitted")
D18, D20 = yes(discharge_date="2026-11-18"), yes(discharge_date="2026-11-20")
FIRST = stay("a", "11-10 08:00", "11-12 20:00")

PART_OF = (
    story(
        "a part of a stay belongs to it days later",
        FIRST,
        stay("b", "11-15 08:00", "11-18 12:00", partOf=part_of("a")),
        dis_tcm=D18,
        dis_readmit=ONE,
    ),
    story(
        "the same without partOf is two stays",
        FIRST,
        stay("b", "11-15 08:00", "11-18 12:00"),
        dis_tcm=D18,
        dis_readmit=APART,
    ),
    story(
        "the earlier one may be the part",
        stay("a", "11-10 08:00", "11-12 20:00", partOf=part_of("b")),
        stay("b", "11-15 08:00", "11-18 12:00"),
        dis_tcm=D18,
        dis_readmit=ONE,
    ),
    story(
        "parts of one stay are one stay",
        stay("top", "11-10 08:00", "11-10 09:00"),
        stay("a", "11-12 08:00", "11-13 09:00", partOf=part_of("top")),
        stay("b", "11-16 08:00", "11-18 12:00", partOf=part_of("top")),
        dis_tcm=D18,
        dis_readmit=ONE,
    ),
    story(
        "parts of an ambulatory encounter are not one stay",
        visit("top", "11-09 08:00"),
        stay("a", "11-10 08:00", "11-12 20:00", partOf=part_of("top")),
        stay("b", "11-15 08:00", "11-18 12:00", partOf=part_of("top")),
        dis_readmit=APART,
    ),
    story(
        "parts of an encounter that the input lacks are not one stay",
        stay("a", "11-10 08:00", "11-12 20:00", partOf=part_of("gone")),
        stay("b", "11-15 08:00", "11-18 12:00", partOf=part_of("gone")),
        dis_readmit=APART,
    ),
    story(
        "a grandchild belongs to its ancestor through an encounter that is no stay",
        FIRST,
        visit("m", "11-13 08:00", partOf=part_of("a")),
        stay("b", "11-15 08:00", "11-18 12:00", partOf=part_of("m")),
        dis_tcm=D18,
        dis_readmit=ONE,
    ),
    story(
        "encounters that are parts of each other end",
        stay("a", "11-10 08:00", "11-12 20:00", partOf=part_of("b")),
        stay("b", "11-15 08:00", "11-18 12:00", partOf=part_of("a")),
        dis_tcm=D18,
    ),
    story(
        "an encounter that is a part of itself is one encounter",
        stay("a", "11-15 08:00", "11-18 12:00", partOf=part_of("a")),
        dis_tcm=D18,
    ),
    story(
        "a history reference names the same stay",
        FIRST,
        stay("b", "11-15 08:00", "11-18 12:00", partOf={"reference": "Encounter/a/_history/4"}),
        dis_readmit=ONE,
    ),
    story(
        "an ED visit inside a stay may be a part of it",
        FIRST,
        er("x", "11-11 08:00", "11-11 12:00", partOf=part_of("a")),
        ed_overuse=no(value=0),
    ),
    story(
        "an ED visit before a stay may be a part of it",
        er("x", "11-07 08:00", "11-07 12:00", partOf=part_of("a")),
        FIRST,
        ed_overuse=no(value=0),
    ),
    story(
        "an ED visit days after a stay had ended is a return, whatever it is said to be a part of",
        FIRST,
        er("x", "11-19 08:00", "11-19 12:00", partOf=part_of("a")),
        dis_tcm=yes(discharge_date="2026-11-12"),
        ed_fu=no("ed_return"),
        ed_overuse=no(value=1),
    ),
    story(
        "also where the stay is said to be a part of the visit",
        stay("a", "11-10 08:00", "11-12 20:00", partOf=part_of("x")),
        er("x", "11-19 08:00", "11-19 12:00"),
        dis_tcm=yes(discharge_date="2026-11-12"),
        ed_fu=no("ed_return"),
        ed_overuse=no(value=1),
    ),
    story(
        "two ED visits that are parts of each other are one visit",
        er("a", "11-15 08:00", "11-15 12:00"),
        er("b", "11-18 08:00", "11-18 12:00", partOf=part_of("a")),
        ed_overuse=no(value=1),
    ),
)

OVERLAP = (
    story(
        "overlapping stays are one",
        stay("a", "11-10 08:00", "11-15 08:00"),
        stay("b", "11-14 08:00", "11-18 12:00"),
        dis_tcm=D18,
        dis_readmit=ONE,
    ),
    story(
        "a stay inside another does not end it",
        stay("a", "11-10 08:00", "11-18 12:00"),
        stay("b", "11-11 08:00", "11-12 12:00", out="aadvice"),
        dis_tcm=D18,
        dis_ama=no(),
    ),
    story(
        "three in a chain are one",
        stay("a", "11-10 08:00", "11-13 08:00"),
        stay("b", "11-12 08:00", "11-16 08:00"),
        stay("c", "11-15 08:00", "11-18 12:00"),
        dis_tcm=D18,
        dis_readmit=ONE,
    ),
    story(
        "an ED visit inside a stay is no visit",
        stay("a", "11-10 08:00", "11-18 12:00"),
        er("x", "11-14 08:00", "11-14 12:00"),
        dis_tcm=D18,
        ed_fu=no(without="ed_return"),
        ed_overuse=no(value=0),
    ),
    story(
        "an ED account that closes after the discharge does not move it",
        er("x", "11-18 01:00", "11-21 09:00"),
        stay("a", "11-18 03:00", "11-20 12:00"),
        dis_tcm=D20,
        ed_fu=no("became_stay"),
    ),
    story(
        "an ED account that closes last does not decide how the stay ended",
        er("x", "11-18 01:00", "11-21 09:00", out="aadvice"),
        stay("a", "11-18 03:00", "11-20 12:00"),
        dis_tcm=D20,
        dis_ama=no(),
    ),
    story(
        "an ED visit that begins when the stay ends is a return",
        stay("a", "11-10 08:00", "11-18 12:00"),
        er("x", "11-18 12:00", "11-18 18:00"),
        dis_tcm=D18,
        ed_fu=no("ed_return"),
        ed_overuse=no(value=1),
    ),
    story(
        "an ED visit one minute before the stay ends is inside it",
        stay("a", "11-10 08:00", "11-18 12:00"),
        er("x", "11-18 11:59", "11-18 18:00"),
        dis_tcm=D18,
        ed_fu=no("became_stay"),
        ed_overuse=no(value=0),
    ),
    story(
        "an ED visit hours after a transfer is not part of the stay",
        stay("a", "11-10 08:00", "11-18 12:00", out="other-hcf"),
        er("x", "11-18 14:00", "11-18 18:00"),
        ed_overuse=no(value=1),
    ),
    story(
        "touching ED visits are two",
        er("x", "11-15 20:00", "11-16 00:00"),
        er("y", "11-16 00:00", "11-16 04:00"),
        ed_overuse=no(value=2),
    ),
    story(
        "overlapping ED visits are one",
        er("x", "11-15 20:00", "11-16 00:01"),
        er("y", "11-16 00:00", "11-16 04:00"),
        ed_overuse=no(value=1),
    ),
)

TABLE = tell(*PART_OF, *OVERLAP)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_links_between_encounters(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])
