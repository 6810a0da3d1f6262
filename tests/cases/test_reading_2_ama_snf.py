"""Reading of rules 2.5 and 2.7: leaving against advice, and the watch while a patient is in an SNF."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import SNOMED, codings
from tests.cases.harness import Json
from tests.cases.stories import (
    Says,
    Table,
    cannot_tell,
    decide_all,
    er,
    in_snf,
    inside,
    no,
    nubc,
    snf,
    stay,
    story,
    tell,
    verify,
    yes,
)


def left(end: str, says: Says, *, sentence: str, out: object = "aadvice", **options: str) -> Table:
    return story(sentence, stay("a", "11-01 08:00", end, out=out), dis_ama=says, **options)  # type: ignore[arg-type]


def ama(day: str) -> Says:
    return yes(has="left_against_advice", discharge_date=day, priority="urgent")


GONE = stay("a", "11-12 08:00", "11-16 12:00", out="aadvice")
AMA = (
    left("11-22 12:00", ama("2026-11-22"), sentence="today"),
    left("11-15 00:01", ama("2026-11-15"), sentence="seven days ago"),
    left("11-14 23:59", no(), sentence="eight days ago"),
    left("2026-11-15T04:59:00Z", no(), sentence="eight days ago, seven in UTC"),
    left("11-15 12:00", ama("2026-11-15"), as_of="11-22 23:59", sentence="seven days to the last minute"),
    left("11-15 12:00", no(), as_of="11-23 00:00", sentence="the eighth day from its first minute"),
    left("11-20 12:00", ama("2026-11-20"), out=nubc("7"), sentence="by an unpadded number"),
    left("11-20 12:00", ama("2026-11-20"), out=codings((SNOMED, "445060000")), sentence="by SNOMED"),
    left("11-20 12:00", no(without="left_against_advice"), out="home", sentence="nobody who went home"),
    story("no clock starts", GONE, dis_tcm=no(without="community_discharge"), dis_ama=ama("2026-11-16")),
    story(
        "a later stay closes it",
        GONE,
        stay("b", "11-18 08:00", "11-20 12:00"),
        dis_ama=no(),
        dis_tcm=yes(discharge_date="2026-11-20"),
    ),
    story("a later open stay closes it", GONE, inside("b", "11-18 08:00"), dis_ama=no()),
    story(
        "a return on the same day continues the stay",
        GONE,
        stay("b", "11-16 20:00", "11-20 12:00"),
        dis_ama=no(),
    ),
    story(
        "a later ED visit does not close it",
        GONE,
        er("x", "11-20 08:00", "11-20 12:00"),
        dis_ama=ama("2026-11-16"),
        ed_fu=yes(without="ed_return"),
    ),
    story(
        "leaving the ED is no stay",
        er("x", "11-20 08:00", "11-20 12:00", out="aadvice"),
        dis_ama=no("no_stay"),
    ),
    story(
        "leaving an observation is one",
        stay("a", "11-19 08:00", "11-20 12:00", code="OBSENC", out="aadvice"),
        dis_ama=ama("2026-11-20"),
    ),
    story(
        "leaving an SNF is one",
        snf("a", "11-12 08:00", "11-20 12:00", out="aadvice"),
        dis_ama=ama("2026-11-20"),
        dis_snf=no(),
    ),
    story(
        "somebody who has not left has not left against advice",
        inside("a", "11-18 08:00", out="aadvice"),
        dis_ama=no(without="left_against_advice"),
    ),
)

TO_SNF = stay("a", "11-01 08:00", "11-10 12:00", out="snf")
OPEN, UNSEEN, DONE = yes("snf_open", without="snf_unseen"), yes(has="snf_unseen"), no(without="snf_open")
SNF = (
    story("an open SNF stay", in_snf("s", "11-10 08:00"), dis_snf=OPEN, dis_tcm=no("stay_open")),
    story("sent to one that nobody sees", TO_SNF, dis_snf=UNSEEN, dis_tcm=no(without="community_discharge")),
    story("for 30 days", stay("a", "10-01 08:00", "10-23 00:01", out="snf"), dis_snf=UNSEEN),
    story("not for 31", stay("a", "10-01 08:00", "10-22 23:59", out="snf"), dis_snf=DONE),
    story("a swing bed", stay("a", "11-01 08:00", "11-10 12:00", out=nubc("61")), dis_snf=UNSEEN),
    story("sent to one that is seen hours later", TO_SNF, in_snf("s", "11-10 15:00"), dis_snf=OPEN),
    story("sent to one that is seen days later", TO_SNF, in_snf("s", "11-13 15:00"), dis_snf=OPEN),
    story(
        "the SNF stay is over",
        TO_SNF,
        snf("s", "11-10 15:00", "11-20 12:00"),
        dis_snf=DONE,
        dis_tcm=yes(discharge_date="2026-11-20"),
    ),
    story(
        "the SNF stay that began days later is over",
        TO_SNF,
        snf("s", "11-13 15:00", "11-20 12:00"),
        dis_snf=DONE,
        dis_tcm=yes(discharge_date="2026-11-20"),
    ),
    story(
        "a hospital stay that ended later ends the watch",
        TO_SNF,
        stay("b", "11-15 08:00", "11-18 12:00"),
        dis_snf=DONE,
        dis_tcm=yes(discharge_date="2026-11-18"),
    ),
    story("an ED visit does not", TO_SNF, er("x", "11-15 08:00", "11-15 12:00"), dis_snf=UNSEEN),
    story(
        "a member that ends later ends it within one stay",
        TO_SNF,
        stay("b", "11-10 20:00", "11-18 12:00"),
        dis_snf=DONE,
    ),
    story("sent from a later stay again", stay("z", "10-20 08:00", "10-28 12:00"), TO_SNF, dis_snf=UNSEEN),
    story(
        "from one SNF into another that nobody sees",
        snf("s", "11-01 08:00", "11-18 12:00", out="snf"),
        dis_snf=UNSEEN,
    ),
    story(
        "an earlier SNF stay is not the one that follows",
        snf("s", "10-20 08:00", "10-28 12:00"),
        TO_SNF,
        dis_snf=UNSEEN,
    ),
    story("sent from the ED", er("x", "11-20 08:00", "11-20 12:00", out="snf"), dis_snf=no("no_stay")),
    story(
        "a group that cannot be trusted",
        in_snf("s", "10-15 08:00"),
        stay("b", "11-10 08:00", "11-15 12:00"),
        dis_snf=cannot_tell("status_stale"),
        dis_tcm=cannot_tell("status_stale"),
    ),
    story("home from hospital is no SNF", stay("a", "11-01 08:00", "11-10 12:00"), dis_snf=no()),
    story(
        "still in hospital, an SNF is planned",
        inside("a", "11-10 08:00", out="snf"),
        dis_snf=no(without="snf_unseen"),
        dis_tcm=no("stay_open"),
    ),
    story(
        "the watch of a stay in two parts, the last one open at the SNF",
        stay("a", "11-01 08:00", "11-10 12:00", out="snf"),
        snf("s", "11-10 14:00", "11-15 08:00", out="snf"),
        in_snf("t", "11-15 12:00"),
        dis_snf=OPEN,
    ),
)

TABLE = tell(*AMA, *SNF)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_against_advice_and_skilled_nursing(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])
