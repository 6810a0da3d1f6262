"""Reading of rule 2.1: which encounters are stays, ED visits, contacts, or none, and the setting."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import SNOMED, THO, concept
from tests.cases.harness import Json
from tests.cases.stories import (
    ACT,
    Table,
    decide_all,
    er,
    in_snf,
    inside,
    no,
    part_of,
    snf,
    stay,
    story,
    tell,
    typed,
    verify,
    visit,
    yes,
)

WHEN = ("11-17 10:00", "11-20 14:00")
HOME = yes("community_discharge", flags="", discharge_date="2026-11-20")
UNMAPPED = no(has="dq_class_unmapped", without="community_discharge")
EPIC = "urn:oid:1.2.840.114350.1.72.1.7.7.10.696784.13260"
ROLE = f"{THO}v3-RoleCode"


def local(code: str | None, system: str | None = EPIC) -> Json:
    return {k: v for k, v in {"system": system, "code": code}.items() if v is not None}


def mapped(code: str, *to: str) -> dict[str, str]:
    return {f"map:{EPIC}|{code}": ",".join(to)}


def of_class(sentence: str, class_: Json | None, **more: object) -> Table:
    says = {k: more.pop(k) for k in list(more) if k.startswith(("dis_", "ed_"))}
    settings = more.pop("settings", None)
    one = stay("e1", *WHEN, **{"class": class_}, **more)
    return story(sentence, one, settings=settings, **says)  # type: ignore[arg-type]


PLAIN = [
    of_class(f"{code} is a stay", {"system": ACT, "code": code}, dis_tcm=HOME)
    for code in ("IMP", "ACUTE", "NONAC", "OBSENC")
]
NEVER = [
    of_class(
        f"{code} is no stay",
        {"system": ACT, "code": code},
        dis_tcm=no("no_stay", flags=""),
        ed_fu=no(flags=""),
        ed_overuse=no(flags="", value=0),
    )
    for code in ("SS", "PRENC", "AMB", "VR", "HH", "FLD")
]
TYPES = [
    of_class(
        f"a class nobody mapped with the type {code} is a stay",
        local("9"),
        type=typed(code),
        dis_tcm=yes("community_discharge", discharge_date="2026-11-20"),
    )
    for code in ("32485007", "8715000", "183452005", "448951000124107", "449411000124106")
]
ED_TYPES = [
    of_class(
        f"a class nobody mapped with the type {code} is an ED visit",
        local("9"),
        type=typed(code),
        dis_tcm=no("no_stay"),
        ed_fu=yes(visit_date="2026-11-17", visit_due="2026-11-27"),
        ed_overuse=no(value=1),
    )
    for code in ("4525004", "50849002")
]

OTHER = (
    of_class(
        "a short stay counts where the practice says so",
        {"system": ACT, "code": "SS"},
        settings={"dis.include_short_stay": "on"},
        dis_tcm=HOME,
    ),
    of_class(
        "a pre-admission is no stay whatever its type says",
        {"system": ACT, "code": "PRENC"},
        type=typed("32485007"),
        dis_tcm=no("no_stay"),
    ),
    of_class(
        "an ambulatory class is believed before an inpatient type",
        {"system": ACT, "code": "AMB"},
        type=typed("8715000"),
        dis_tcm=no("no_stay"),
    ),
    of_class(
        "an ambulatory class is believed before an ED type",
        {"system": ACT, "code": "AMB"},
        type=typed("50849002"),
        ed_overuse=no(value=0),
    ),
    of_class("a numeric local class that nobody mapped is named, not guessed", local("4"), dis_tcm=UNMAPPED),
    of_class(
        "a numeric local class that is mapped to inpatient is a stay",
        local("4"),
        settings=mapped("4", f"{ACT}|IMP"),
        dis_tcm=HOME,
    ),
    of_class(
        "a map for one number says nothing about another",
        local("5"),
        settings=mapped("4", f"{ACT}|IMP"),
        dis_tcm=UNMAPPED,
    ),
    of_class(
        "a local class that is mapped to emergency is an ED visit",
        local("E"),
        settings=mapped("E", f"{ACT}|EMER"),
        dis_tcm=no("no_stay"),
        ed_overuse=no(value=1),
        ed_fu=yes(visit_due="2026-11-27"),
    ),
    of_class(
        "a local class that is mapped to ambulatory beats an inpatient type",
        local("A"),
        settings=mapped("A", f"{ACT}|AMB"),
        type=typed("32485007"),
        dis_tcm=no("no_stay"),
    ),
    of_class("the code IMP of another system is not ActCode's", local("IMP"), dis_tcm=UNMAPPED),
    of_class("the code IMP without a system is not ActCode's", local("IMP", None), dis_tcm=UNMAPPED),
    of_class("an encounter without a class is named", None, dis_tcm=UNMAPPED),
    of_class("a class that is only a display is named", {"display": "Hospital Encounter"}, dis_tcm=UNMAPPED),
    of_class(
        "an encounter without a class goes by its type",
        None,
        type=typed("32485007"),
        dis_tcm=yes("community_discharge"),
    ),
    of_class(
        "any coding of any type may speak for an unmapped class",
        local("9"),
        type=[
            concept("urn:x", "y"),
            {"coding": [{"system": "urn:x", "code": "z"}, {"system": SNOMED, "code": "32485007"}]},
        ],
        dis_tcm=yes("community_discharge"),
    ),
    story(
        "an observation by type is no readmission",
        stay("e0", "11-01 10:00", "11-05 10:00"),
        stay("e1", *WHEN, **{"class": local("9")}, type=typed("448951000124107")),
        dis_readmit=no(),
    ),
    story(
        "an inpatient stay by type is a readmission",
        stay("e0", "11-01 10:00", "11-05 10:00"),
        stay("e1", *WHEN, **{"class": local("9")}, type=typed("32485007")),
        dis_readmit=yes(index_discharge_date="2026-11-05", readmission_date="2026-11-17"),
    ),
    story(
        "a home hospice admission is hospice",
        er("e1", "11-20 10:00", "11-20 14:00"),
        inside("v", "11-21 09:00", code="HH", type=typed("305336008")),
        ed_fu=no("GX-02"),
    ),
    story(
        "a home hospice admission that is over is still not a visit",
        er("e1", "11-20 10:00", "11-20 14:00"),
        visit("v", "11-21 09:00", code="HH", type=typed("305336008")),
        ed_fu=yes(without="followed_up"),
    ),
)


def place(kind: str, system: str, code: str) -> Json:
    return {"resourceType": kind, "id": "here", "type": [concept(system, code)]}


def here(kind: str, **more: object) -> Json:
    reference = {"reference": f"{kind}/here"}
    where = (
        {"serviceProvider": reference} if kind == "Organization" else {"location": [{"location": reference}]}
    )
    return inside("e1", "11-10 10:00", **(where | more))


SNF = yes("snf_open")
SETTINGS = (
    story("an open stay with the SNF type is a stay at an SNF", in_snf("e1", "11-10 10:00"), dis_snf=SNF),
    story(
        "the SNF type makes an inpatient class an SNF", in_snf("e1", "11-10 10:00", code="IMP"), dis_snf=SNF
    ),
    story(
        "a non-acute stay without any sign is no SNF", inside("e1", "11-10 10:00", code="NONAC"), dis_snf=no()
    ),
    story("an inpatient stay without any sign is no SNF", inside("e1", "11-10 10:00"), dis_snf=no()),
    story(
        "a location of the type SNF makes the stay one",
        here("Location"),
        place("Location", ROLE, "SNF"),
        dis_snf=SNF,
    ),
    *(
        story(
            f"a location of the type {code} makes the stay one too",
            here("Location"),
            place("Location", system, code),
            dis_snf=SNF,
        )
        for system, code in ((SNOMED, "45618002"), ("http://nucc.org/provider-taxonomy", "314000000X"))
    ),
    story(
        "a location of another type does not", here("Location"), place("Location", ROLE, "HOSP"), dis_snf=no()
    ),
    story(
        "a service provider of the type SNF makes the stay one",
        here("Organization"),
        place("Organization", ROLE, "SNF"),
        dis_snf=SNF,
    ),
    story("a location that the input lacks says nothing", here("Location"), dis_snf=no()),
    story(
        "an organization's local type counts when it is mapped",
        here("Organization"),
        place("Organization", EPIC, "31"),
        settings=mapped("31", f"{ROLE}|SNF"),
        dis_snf=SNF,
    ),
    story(
        "a local class mapped to non-acute and SNF is an SNF",
        inside("e1", "11-10 10:00", **{"class": local("7")}),
        settings=mapped("7", f"{ACT}|NONAC", f"{SNOMED}|449411000124106"),
        dis_snf=SNF,
    ),
    story("an SNF stay that ended at home starts the clock", snf("e1", *WHEN), dis_tcm=HOME, dis_snf=no()),
    story(
        "an SNF stay is no readmission",
        stay("e0", "11-01 10:00", "11-05 10:00"),
        snf("e1", "11-10 10:00", "11-20 14:00", code="IMP"),
        dis_readmit=no(),
    ),
    story(
        "an ambulatory part of a stay is no member of it",
        stay("e1", *WHEN),
        visit("v", "11-18 09:00", "11-21 09:00", partOf=part_of("e1")),
        dis_tcm=HOME,
    ),
)

TABLE = tell(*PLAIN, *NEVER, *TYPES, *ED_TYPES, *OTHER, *SETTINGS)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_encounter_classes(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])
