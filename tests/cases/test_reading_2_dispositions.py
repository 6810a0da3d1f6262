"""Reading of rule 2.4: what each disposition means, in every system, padded or not, and in conflict."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import SNOMED, THO, a1c, codings, condition
from tests.cases.harness import Json
from tests.cases.stories import (
    HL7,
    NUBC,
    Says,
    Table,
    cannot_tell,
    decide_all,
    er,
    inside,
    no,
    nubc,
    snf,
    stay,
    story,
    tell,
    typed,
    verify,
    visit,
    yes,
)

NOT_AMA, NOT_SNF = no(without="left_against_advice"), no(without="snf_unseen")
HOME = yes("community_discharge", flags="", discharge_date="2026-11-20")
OTHER = yes("community_discharge", has="disposition_missing", discharge_date="2026-11-20")
DEAD, HOSPICE, LONG = no("GX-01"), no("GX-02"), no("long_term_care")
WAIT, GONE = no("transfer_awaited"), no(without="community_discharge transfer_awaited")
AMA, SNF = no(without="community_discharge"), no(without="community_discharge")
BY_CLASS = {
    "community": {"dis_tcm": HOME, "dis_ama": NOT_AMA, "dis_snf": NOT_SNF},
    "transfer": {"dis_tcm": WAIT, "dis_ama": NOT_AMA, "dis_snf": NOT_SNF},
    "transfer_snf": {"dis_tcm": SNF, "dis_ama": NOT_AMA, "dis_snf": yes(has="snf_unseen")},
    "ama": {
        "dis_tcm": AMA,
        "dis_snf": NOT_SNF,
        "dis_ama": yes(has="left_against_advice", discharge_date="2026-11-20", priority="urgent"),
    },
    "facility_ltc": {"dis_tcm": LONG, "dis_ama": NOT_AMA, "dis_snf": NOT_SNF},
    "hospice": {"dis_tcm": HOSPICE, "dis_ama": HOSPICE, "dis_snf": HOSPICE, "ed_overuse": HOSPICE},
    "expired": {"dis_tcm": DEAD, "dis_ama": DEAD, "dis_snf": DEAD, "chr_multi": DEAD, "a1c_out": DEAD},
    "custody": {"dis_tcm": GONE, "dis_ama": NOT_AMA, "dis_snf": NOT_SNF},
    "unknown": {"dis_tcm": OTHER, "dis_ama": NOT_AMA, "dis_snf": NOT_SNF},
}
HL7_CODES = {
    "home": "community",
    "alt-home": "community",
    "long": "facility_ltc",
    "other-hcf": "transfer",
    "psy": "transfer",
    "rehab": "transfer",
    "hosp": "hospice",
    "aadvice": "ama",
    "exp": "expired",
    "snf": "transfer_snf",
    "oth": "unknown",
}
NUBC_CODES = {
    "community": "01 06 81 86 1 6",
    "transfer": "02 05 09 43 62 63 65 66 69 70 82 85 88 90 91 93 94 95 2 5 9",
    "transfer_snf": "03 61 83 89 3",
    "facility_ltc": "04 64 84 92 4",
    "ama": "07 7",
    "expired": "20 40 41 42",
    "custody": "21 87 30",
    "hospice": "50 51",
    "unknown": "00 99 100 A",
}
SNOMED_CODES = {
    "371828006": "expired",
    "445060000": "ama",
    "428361000124107": "hospice",
    "428371000124100": "hospice",
    "434781000124105": "transfer",
    "306701001": "transfer",
    "306703003": "transfer",
}
SYSTEMS = (
    "http://www.nubc.org/patient-discharge",
    "https://bluebutton.cms.gov/resources/variables/ptnt_dschrg_stus_cd",
    f"{THO}v2-0112",
    "urn:oid:2.16.840.1.113883.6.301.5",
)


def ended(sentence: str, out: Json | None, says: dict[str, Says], **options: object) -> Table:
    one = stay("a", "11-17 08:00", "11-20 12:00", out=out)
    return story(sentence, one, **options, **says)  # type: ignore[arg-type]


def everywhere() -> list[Table]:
    """Every code of every system; two stay rows of one class are two sentences."""
    hl7 = [ended(f"HL7 {c}", codings((HL7, c)), BY_CLASS[k]) for c, k in HL7_CODES.items()]
    nubc_ = [ended(f"NUBC {c}", nubc(c), BY_CLASS[k]) for k, all_ in NUBC_CODES.items() for c in all_.split()]
    sct = [ended(f"SNOMED {c}", codings((SNOMED, c)), BY_CLASS[k]) for c, k in SNOMED_CODES.items()]
    more = [
        ended(f"{code} of {system}", nubc(code, system), BY_CLASS[kind])
        for system in SYSTEMS
        for code, kind in (("1", "community"), ("07", "ama"), ("3", "transfer_snf"))
    ]
    return [*hl7, *nubc_, *sct, *more]


C = BY_CLASS
TWO = (
    ended(
        "against advice beats home",
        codings((HL7, "home"), (NUBC, "07")),
        C["ama"] | {"dis_tcm": no(has="class_conflict")},
    ),
    ended(
        "against advice in SNOMED beats home in HL7", codings((HL7, "home"), (SNOMED, "445060000")), C["ama"]
    ),
    ended("death beats home", codings((HL7, "home"), (NUBC, "20")), C["expired"]),
    ended("death in SNOMED beats an SNF", codings((HL7, "snf"), (SNOMED, "371828006")), C["expired"]),
    ended("hospice beats home", codings((HL7, "home"), (NUBC, "50")), C["hospice"]),
    ended("HL7 comes before NUBC", codings((NUBC, "01"), (HL7, "snf")), C["transfer_snf"]),
    ended(
        "HL7 home comes before an NUBC transfer",
        codings((NUBC, "02"), (HL7, "home")),
        {"dis_tcm": yes(has="class_conflict")},
    ),
    ended(
        "NUBC comes before SNOMED",
        codings((SNOMED, "306701001"), (NUBC, "01")),
        {"dis_tcm": yes(has="class_conflict")},
    ),
    ended(
        "a known code beside an unknown one decides",
        codings(("urn:x", "q"), (NUBC, "01")),
        {"dis_tcm": yes(without="class_conflict disposition_missing")},
    ),
    ended(
        "codes that mean the same are no conflict", codings((HL7, "alt-home"), (NUBC, "6")), C["community"]
    ),
    ended("a local code without a map", codings(("urn:x", "H")), C["unknown"]),
    ended("a number of an unknown system", nubc("01", "urn:x"), C["unknown"]),
    ended("a number without a system", {"coding": [{"code": "01"}]}, C["unknown"]),
    ended("only text", {"text": "Home with wife"}, C["unknown"]),
    ended("an empty concept", {"coding": []}, C["unknown"]),
    ended("nothing", None, C["unknown"]),
    ended(
        "a mapped local code",
        codings(("urn:x", "H")),
        C["community"],
        settings={"map:urn:x|H": f"{HL7}|home"},
    ),
    ended(
        "a local code mapped to a number",
        codings(("urn:x", "H")),
        C["transfer_snf"],
        settings={"map:urn:x|H": f"{NUBC}|03"},
    ),
    ended(
        "NUBC comes before a mapped local code",
        codings(("urn:x", "H"), (NUBC, "02")),
        {"dis_tcm": WAIT},
        settings={"map:urn:x|H": f"{NUBC}|01"},
    ),
    story(
        "a disposition of the stay is not looked for elsewhere",
        stay(
            "a",
            "11-17 08:00",
            "11-20 12:00",
            out=None,
            hospitalization={"admitSource": codings((HL7, "exp"))},
        ),
        dis_tcm=OTHER,
    ),
)


def sent_on(sentence: str, day: str, as_of: str, says: Says, out: str = "other-hcf", *more: Json) -> Table:
    return story(
        sentence, stay("a", "10-01 08:00", f"{day} 12:00", out=out), *more, as_of=as_of, dis_tcm=says
    )


UNSEEN = cannot_tell("transfer_unseen", without="transfer_awaited")
TRANSFERS = (
    sent_on("sent on a Friday, Tuesday's last minute", "11-20", "11-24 23:59", WAIT),
    sent_on("sent on a Friday, Wednesday", "11-20", "11-25 00:01", UNSEEN),
    sent_on("sent on a Saturday, Tuesday", "11-21", "11-24 23:59", WAIT),
    sent_on("sent before Thanksgiving, Monday", "11-25", "11-30 23:59", WAIT),
    sent_on("sent before Thanksgiving, Tuesday", "11-25", "12-01 00:01", UNSEEN),
    sent_on("sent before Veterans Day, Friday", "11-10", "11-13 23:59", WAIT),
    sent_on("sent before Veterans Day, Saturday", "11-10", "11-14 00:01", UNSEEN),
    sent_on("rehabilitation waits alike", "11-20", "11-25 00:01", UNSEEN, "rehab"),
    sent_on("through day 29 it is asked where the patient is", "10-24", "11-22 15:00", UNSEEN),
    sent_on("then no more", "10-22", "11-22 15:00", no()),
    story(
        "the next stay within a day is the same stay",
        stay("a", "11-01 08:00", "11-10 12:00", out="psy"),
        stay("b", "11-11 08:00", "11-19 12:00"),
        dis_tcm=yes(discharge_date="2026-11-19"),
    ),
    story(
        "the next stay days later is the newest",
        stay("a", "11-01 08:00", "11-10 12:00", out="psy"),
        stay("b", "11-12 18:00", "11-19 12:00"),
        dis_tcm=yes(discharge_date="2026-11-19"),
    ),
    story(
        "an open next stay ends the wait",
        stay("a", "11-01 08:00", "11-10 12:00", out="psy"),
        inside("b", "11-12 18:00"),
        dis_tcm=no("stay_open", without="transfer_unseen"),
    ),
    story(
        "an ED visit is no next stay",
        stay("a", "11-01 08:00", "11-10 12:00", out="psy"),
        er("x", "11-11 18:00", "11-11 20:00"),
        dis_tcm=UNSEEN,
    ),
)

DIED = stay("a", "11-08 08:00", "11-10 12:00", out="exp")
BELIEVED = {"dis_tcm": DEAD, "dis_readmit": DEAD, "ed_fu": DEAD, "a1c_overdue": DEAD}
DOUBTED = {
    "dis_tcm": yes(
        "community_discharge", has="expired_conflict disposition_missing", discharge_date="2026-11-10"
    )
}
EXPIRED = (
    story("the dead are left alone", DIED, **BELIEVED),
    story("a visit on a later day contradicts", DIED, visit("v", "11-12 09:00"), **DOUBTED),
    story("a visit on the same day does not", DIED, visit("v", "11-10 20:00"), **BELIEVED),
    story("a visit just after midnight does", DIED, visit("v", "11-11 00:10"), **DOUBTED),
    story(
        "a death certification does not", DIED, visit("v", "11-12 09:00", type=typed("308646001")), **BELIEVED
    ),
    story("a visit that was planned does not", DIED, visit("v", "11-12 09:00", status="planned"), **BELIEVED),
    story(
        "a visit that was cancelled does not", DIED, visit("v", "11-12 09:00", status="cancelled"), **BELIEVED
    ),
    story(
        "a visit that is not finished does not",
        DIED,
        visit("v", "11-12 09:00", status="in-progress"),
        **BELIEVED,
    ),
    story("an earlier visit does not", DIED, visit("v", "11-03 09:00"), **BELIEVED),
    story(
        "an encounter that began before the end does not",
        DIED,
        visit("v", "11-05 09:00", "11-15 09:00"),
        **BELIEVED,
    ),
    story("a result taken on a later day does", DIED, a1c(6.0, "2026-11-12"), **DOUBTED),
    story(
        "a result taken before and issued later does not",
        DIED,
        a1c(6.0, "2026-11-09", issued="2026-11-12T09:00:00-05:00"),
        **BELIEVED,
    ),
    story("a result taken on the same day does not", DIED, a1c(6.0, "2026-11-10"), **BELIEVED),
    story(
        "a condition recorded later does not", DIED, condition("I10", recordedDate="2026-11-15"), **BELIEVED
    ),
    story(
        "a later stay does, and is read on its own",
        DIED,
        stay("b", "11-15 08:00", "11-20 12:00"),
        dis_tcm=yes(has="expired_conflict", discharge_date="2026-11-20"),
    ),
    story("death in the ED", er("x", "11-20 08:00", "11-20 12:00", out="exp"), ed_fu=DEAD, ed_overuse=DEAD),
    story(
        "death in the ED contradicted",
        er("x", "11-20 08:00", "11-20 12:00", out="exp"),
        visit("v", "11-21 09:00"),
        ed_fu=no("followed_up", has="expired_conflict"),
    ),
    story(
        "death long ago",
        stay("a", "2024-03-01 08:00", "2024-03-05 08:00", out="exp"),
        chr_multi=DEAD,
        dis_tcm=DEAD,
    ),
    story(
        "death of somebody who has not left is not believed",
        inside("a", "11-18 08:00", out="exp"),
        dis_tcm=no("stay_open"),
    ),
    story(
        "any member of the stay that says death is believed",
        stay("a", "11-18 08:00", "11-20 12:00"),
        stay("b", "11-19 08:00", "11-20 10:00", out="exp"),
        dis_tcm=DEAD,
    ),
    story(
        "death in an SNF", snf("a", "11-10 08:00", "11-20 12:00", out=nubc("20")), dis_tcm=DEAD, dis_snf=DEAD
    ),
)

TABLE = tell(*everywhere(), *TWO, *TRANSFERS, *EXPIRED)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_dispositions(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])
