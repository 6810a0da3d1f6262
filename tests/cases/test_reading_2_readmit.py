"""Reading of rule 2.6: which later stay is a readmission, of what, and for how long it is told."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import codings
from tests.cases.harness import Json
from tests.cases.stories import (
    ACT,
    HL7,
    NUBC,
    SNF_TYPE,
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
    typed,
    verify,
    yes,
)

OBS = {"dis.observation_readmit": "on"}
PLANNED = no("planned", without="readmitted")


def after(
    index_end: str, start: str, says: object, *, sentence: str, index: Json | None = None, **more: object
) -> Table:
    """A stay that ended at home, and an open one that began later."""
    old = index or stay("a", "09-25 08:00", index_end)
    options = {k: more.pop(k) for k in ("settings", "as_of") if k in more}
    return story(sentence, old, inside("b", start, **more), **options, dis_readmit=says)  # type: ignore[arg-type]


def again(index: str, readmitted: str) -> object:
    return yes("readmitted", index_discharge_date=index, readmission_date=readmitted, priority="urgent")


DAYS = (
    after("11-10 12:00", "11-10 20:00", no(), sentence="day 0 is the same stay"),
    after("11-10 23:59", "11-11 00:01", again("2026-11-10", "2026-11-11"), sentence="day 1"),
    after("10-20 12:00", "11-18 08:00", again("2026-10-20", "2026-11-18"), sentence="day 29"),
    after("10-20 12:00", "11-19 23:00", again("2026-10-20", "2026-11-19"), sentence="day 30"),
    after("10-20 12:00", "11-20 00:01", no(), sentence="day 31"),
    after(
        "10-20 12:00",
        "2026-11-20T04:59:00Z",
        again("2026-10-20", "2026-11-19"),
        sentence="day 30 local, 31 in UTC",
    ),
    after("10-10 12:00", "10-23 08:00", again("2026-10-10", "2026-10-23"), sentence="told for 30 days"),
    after("10-10 12:00", "10-22 08:00", no(), sentence="not for 31"),
    after("2026-11-10", "2026-11-12", again("2026-11-10", "2026-11-12"), sentence="days without times"),
)

TWO = stay("a", "11-01 08:00", "11-10 12:00")
KINDS = (
    after(
        "11-10 12:00",
        "11-15 08:00",
        again("2026-11-10", "2026-11-15"),
        sentence="an acute class",
        code="ACUTE",
    ),
    after("11-10 12:00", "11-15 08:00", no(), sentence="a non-acute class never", code="NONAC"),
    after(
        "11-10 12:00", "11-15 08:00", no(), sentence="an SNF in an inpatient class never", type=list(SNF_TYPE)
    ),
    after("11-10 12:00", "11-21 08:00", no(), sentence="an observation by default not", code="OBSENC"),
    after(
        "11-10 12:00",
        "11-21 08:00",
        again("2026-11-10", "2026-11-21"),
        sentence="an observation where told so",
        code="OBSENC",
        settings=OBS,
    ),
    after("11-10 12:00", "11-21 08:00", no(), sentence="an ED visit never", code="EMER"),
    after(
        "11-10 12:00",
        "11-21 08:00",
        no(),
        sentence="a non-acute class not by the observation setting either",
        code="NONAC",
        settings=OBS,
    ),
    story(
        "an observation that became a ward stay counts from its start",
        TWO,
        stay("o", "11-15 08:00", "11-16 08:00", code="OBSENC"),
        inside("b", "11-16 08:00"),
        dis_readmit=again("2026-11-10", "2026-11-15"),
    ),
    story(
        "a non-acute stay with an acute member counts",
        TWO,
        stay("n", "11-15 08:00", "11-17 08:00", code="NONAC"),
        stay("b", "11-17 08:00", "11-19 08:00"),
        dis_readmit=again("2026-11-10", "2026-11-15"),
    ),
    story(
        "a finished readmission counts",
        TWO,
        stay("b", "11-15 08:00", "11-19 08:00"),
        dis_readmit=again("2026-11-10", "2026-11-15"),
    ),
    story(
        "a readmission that ended badly counts",
        TWO,
        stay("b", "11-15 08:00", "11-19 08:00", out="aadvice"),
        dis_readmit=again("2026-11-10", "2026-11-15"),
    ),
    story(
        "an observation may be the index",
        stay("a", "11-09 08:00", "11-10 12:00", code="OBSENC"),
        inside("b", "11-15 08:00"),
        dis_readmit=again("2026-11-10", "2026-11-15"),
    ),
    story(
        "an SNF stay may be the index",
        snf("a", "11-01 08:00", "11-10 12:00"),
        inside("b", "11-15 08:00"),
        dis_readmit=again("2026-11-10", "2026-11-15"),
    ),
    story(
        "the latest stay before is the index",
        stay("z", "10-20 08:00", "10-28 12:00"),
        TWO,
        inside("b", "11-15 08:00"),
        dis_readmit=again("2026-11-10", "2026-11-15"),
    ),
    story("a first stay is no readmission", inside("b", "11-15 08:00"), dis_readmit=no()),
    story(
        "an ED visit is no index",
        er("x", "11-10 08:00", "11-10 12:00"),
        inside("b", "11-15 08:00"),
        dis_readmit=no(),
    ),
    story(
        "a readmission that should have ended long ago is one",
        TWO,
        inside("b", "11-12 08:00", "11-15 08:00"),
        dis_tcm=cannot_tell("status_stale"),
        dis_readmit=again("2026-11-10", "2026-11-12"),
    ),
    story(
        "a readmission without an end is one",
        TWO,
        stay("b", "11-12 08:00"),
        dis_tcm=cannot_tell("discharge_date_missing"),
        dis_readmit=again("2026-11-10", "2026-11-12"),
    ),
    story(
        "without a day of discharge before it cannot be said",
        stay("a", "11-05 08:00"),
        inside("b", "11-15 08:00"),
        dis_readmit=cannot_tell(),
    ),
    story(
        "nor while that one should have ended",
        inside("a", "11-01 08:00", "11-10 08:00"),
        stay("b", "11-15 08:00", "11-19 08:00"),
        dis_readmit=cannot_tell(),
    ),
)

INDEX = (
    *(
        after(
            "",
            "11-15 08:00",
            again("2026-11-10", "2026-11-15"),
            sentence=f"after {out}",
            index=stay("a", "11-01 08:00", "11-10 12:00", out=out),
        )
        for out in ("aadvice", "long", "oth", "snf", "rehab")
    ),
    after(
        "",
        "11-15 08:00",
        again("2026-11-10", "2026-11-15"),
        sentence="after custody",
        index=stay("a", "11-01 08:00", "11-10 12:00", out=nubc("21")),
    ),
    after(
        "",
        "11-11 13:00",
        no(without="readmitted"),
        sentence="the day after a transfer it goes on",
        index=stay("a", "11-01 08:00", "11-10 12:00", out="other-hcf"),
    ),
    after(
        "",
        "11-11 23:59",
        no(without="readmitted"),
        sentence="to the end of that day",
        index=stay("a", "11-01 08:00", "11-10 12:00", out="snf"),
    ),
    after(
        "",
        "11-12 00:01",
        again("2026-11-10", "2026-11-12"),
        sentence="two days after a transfer it is one",
        index=stay("a", "11-01 08:00", "11-10 12:00", out="other-hcf"),
    ),
    after(
        "",
        "11-12 00:01",
        again("2026-11-10", "2026-11-12"),
        sentence="and after a transfer to an SNF",
        index=stay("a", "11-01 08:00", "11-10 12:00", out="snf"),
    ),
    story(
        "after a death that was none",
        stay("a", "11-01 08:00", "11-10 12:00", out="exp"),
        stay("b", "11-15 08:00", "11-19 08:00"),
        dis_readmit=yes(has="expired_conflict"),
    ),
    story(
        "opting out does not stop it",
        TWO,
        inside("b", "11-15 08:00"),
        {
            "resourceType": "Consent",
            "id": "c",
            "status": "active",
            "patient": {"reference": "Patient/p1"},
            "scope": codings(("urn:x", "s")),
            "category": [codings(("http://loinc.org", "59284-0"))],
            "dateTime": "2026-11-01",
            "provision": {"type": "deny"},
        },
        dis_readmit=again("2026-11-10", "2026-11-15"),
        dis_tcm=no("stay_open"),
        ed_overuse=no("GX-03"),
    ),
)

EL = codings((f"{ACT[: ACT.rindex('/')]}/v3-ActPriority", "EL"))
SIGNS = (
    after("11-10 12:00", "11-15 08:00", PLANNED, sentence="an elective admission is planned", priority=EL),
    after(
        "11-10 12:00",
        "11-15 08:00",
        PLANNED,
        sentence="an admission of the elective type is planned",
        type=typed("8715000"),
    ),
    after(
        "11-10 12:00",
        "11-15 08:00",
        again("2026-11-10", "2026-11-15"),
        sentence="an urgent one is not",
        priority=codings((f"{ACT[: ACT.rindex('/')]}/v3-ActPriority", "UR")),
    ),
    after(
        "11-10 12:00",
        "11-15 08:00",
        again("2026-11-10", "2026-11-15"),
        sentence="EL of another system is not",
        priority=codings(("urn:x", "EL")),
    ),
    after(
        "11-10 12:00",
        "11-15 08:00",
        again("2026-11-10", "2026-11-15"),
        sentence="another admission type is not",
        type=typed("183452005"),
    ),
    *(
        after(
            "",
            "11-15 08:00",
            PLANNED,
            sentence=f"after a discharge with the number {n}",
            index=stay("a", "11-01 08:00", "11-10 12:00", out=nubc(n)),
        )
        for n in ("81", "82", "86", "87", "91", "95")
    ),
    *(
        after(
            "",
            "11-15 08:00",
            again("2026-11-10", "2026-11-15"),
            sentence=f"not after the number {n}",
            index=stay("a", "11-01 08:00", "11-10 12:00", out=nubc(n)),
        )
        for n in ("80", "96", "01")
    ),
    after(
        "",
        "11-15 08:00",
        PLANNED,
        sentence="the number beside an HL7 code counts too",
        index=stay("a", "11-01 08:00", "11-10 12:00", out=codings((HL7, "home"), (NUBC, "81"))),
    ),
    after(
        "",
        "11-15 08:00",
        again("2026-11-10", "2026-11-15"),
        sentence="an elective index says nothing of the next",
        index=stay("a", "11-01 08:00", "11-10 12:00", priority=EL),
    ),
)

HOSPITAL = stay("a", "11-01 08:00", "11-05 12:00", out="snf")
SANDWICH = (
    story(
        "hospital, SNF, hospital",
        HOSPITAL,
        snf("s", "11-05 14:00", "11-12 08:00", out="other-hcf"),
        stay("b", "11-12 10:00", "11-18 12:00"),
        dis_readmit=again("2026-11-05", "2026-11-12"),
        dis_tcm=yes(discharge_date="2026-11-18"),
    ),
    story(
        "the same, back after one day",
        HOSPITAL,
        snf("s", "11-05 14:00", "11-06 08:00", out="other-hcf"),
        stay("b", "11-06 10:00", "11-18 12:00"),
        dis_readmit=again("2026-11-05", "2026-11-06"),
    ),
    story(
        "the same, back on the same day",
        HOSPITAL,
        snf("s", "11-05 14:00", "11-05 20:00", out="other-hcf"),
        stay("b", "11-05 22:00", "11-18 12:00"),
        dis_readmit=no(),
    ),
    story(
        "the same, after 30 days",
        stay("a", "10-10 08:00", "10-20 12:00", out="snf"),
        snf("s", "10-20 14:00", "11-19 08:00", out="other-hcf"),
        inside("b", "11-19 10:00"),
        dis_readmit=again("2026-10-20", "2026-11-19"),
    ),
    story(
        "the same, after 31 days",
        stay("a", "10-10 08:00", "10-20 12:00", out="snf"),
        snf("s", "10-20 14:00", "11-20 08:00", out="other-hcf"),
        inside("b", "11-20 10:00"),
        dis_readmit=no(),
    ),
    story(
        "the same, planned",
        HOSPITAL,
        snf("s", "11-05 14:00", "11-12 08:00", out="other-hcf"),
        stay("b", "11-12 10:00", "11-18 12:00", priority=EL),
        dis_readmit=PLANNED,
    ),
    story(
        "the same, into an observation",
        HOSPITAL,
        snf("s", "11-05 14:00", "11-20 08:00", out="other-hcf"),
        stay("b", "11-20 10:00", "11-21 12:00", code="OBSENC"),
        dis_readmit=no(),
    ),
    story(
        "the same, into an observation that counts",
        HOSPITAL,
        snf("s", "11-05 14:00", "11-20 08:00", out="other-hcf"),
        stay("b", "11-20 10:00", "11-21 12:00", code="OBSENC"),
        settings=OBS,
        dis_readmit=again("2026-11-05", "2026-11-20"),
    ),
    story(
        "hospital, hospital without an SNF between",
        stay("a", "11-01 08:00", "11-05 12:00", out="other-hcf"),
        stay("b", "11-06 10:00", "11-18 12:00"),
        dis_readmit=no(),
    ),
    story(
        "an SNF that begins in the minute of the hospital does not lie between",
        HOSPITAL,
        snf("s", "11-06 10:00", "11-06 11:00", out="other-hcf"),
        stay("b", "11-06 10:00", "11-18 12:00"),
        dis_readmit=no(),
    ),
    story(
        "hospital, rehabilitation, hospital",
        stay("a", "11-01 08:00", "11-05 12:00", out="rehab"),
        stay("n", "11-05 14:00", "11-12 08:00", code="NONAC", out="other-hcf"),
        stay("b", "11-12 10:00", "11-18 12:00"),
        dis_readmit=no(),
    ),
    story(
        "the SNF bed kept while in hospital",
        HOSPITAL,
        in_snf("s", "11-05 14:00"),
        inside("b", "11-12 10:00"),
        dis_readmit=again("2026-11-05", "2026-11-12"),
        dis_tcm=no("stay_open"),
    ),
)

TABLE = tell(*DAYS, *KINDS, *INDEX, *SIGNS, *SANDWICH)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_readmissions(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])
