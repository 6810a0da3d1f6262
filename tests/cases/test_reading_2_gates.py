"""Reading of rules 0.2, 0.3, 0.6, 0.7 and 0.11 where they meet discharges and ED visits."""

from __future__ import annotations

import json
import random

import pytest

from tests.cases.fhir_json import consent, order, patient
from tests.cases.harness import CANNOT_TELL, NO, YES, Json, decide, evaluate
from tests.cases.stories import (
    Says,
    Table,
    cannot_tell,
    decide_all,
    er,
    in_snf,
    inside,
    no,
    stay,
    story,
    tell,
    verify,
    visit,
    yes,
)

A = stay("a", "11-15 08:00", "11-20 12:00")
X = er("x", "11-20 08:00", "11-20 12:00")
HOME, DEAD, YOUNG = yes("community_discharge", discharge_date="2026-11-20"), no("GX-01"), no("GX-04")


def of(sentence: str, person: Json, says: Says, *more: Json, **options: object) -> Table:
    return story(sentence, A, *more, person=person, dis_tcm=says, **options)  # type: ignore[arg-type]


AGE_UNKNOWN = cannot_tell("age_unknown")
PEOPLE = (
    of("dead", patient(deceasedBoolean=True), DEAD),
    of("not dead", patient(deceasedBoolean=False), HOME),
    of("dead since yesterday", patient(deceasedDateTime="2026-11-21"), DEAD),
    of("dead this year", patient(deceasedDateTime="2026"), DEAD),
    of("dead next month", patient(deceasedDateTime="2026-12-24"), cannot_tell("deceased_conflict")),
    of("inactive", patient(active=False), DEAD),
    of("active is not said", patient(active=None), HOME),
    of("18 today", patient(birthDate="2008-11-22"), HOME),
    of("18 tomorrow", patient(birthDate="2008-11-23"), YOUNG),
    of(
        "18 tomorrow where children count",
        patient(birthDate="2008-11-23"),
        HOME,
        settings={"gx.pediatric_discharge": "on"},
    ),
    of("of unknown age", patient(birthDate=None), AGE_UNKNOWN),
    of("18 this year or not", patient(birthDate="2008"), AGE_UNKNOWN),
    of("18 this month or not", patient(birthDate="2008-11"), AGE_UNKNOWN),
    of("of a known year", patient(birthDate="1976"), HOME),
    of("a year that is too young in any case", patient(birthDate="2010"), YOUNG),
    story(
        "of unknown age, nothing to follow",
        person=patient(birthDate=None),
        dis_tcm=no("no_stay"),
        ed_fu=no("no_stay"),
    ),
    story(
        "dead next month, nothing to follow",
        person=patient(deceasedDateTime="2026-12-24"),
        dis_tcm=no("no_stay"),
    ),
    story(
        "the dead have no ED visit to follow",
        X,
        person=patient(deceasedBoolean=True),
        ed_fu=DEAD,
        ed_overuse=DEAD,
    ),
    story(
        "of unknown age, in an SNF",
        in_snf("s", "11-01 08:00"),
        person=patient(birthDate=None),
        dis_snf=AGE_UNKNOWN,
    ),
    of("in hospice", patient(), no("GX-02"), order("385763009", "2026-11-01", "h")),
    of("was to be in hospice", patient(), HOME, order("385763009", "2026-11-01", "h", status="revoked")),
    of("in hospice two years ago", patient(), HOME, order("385763009", "2024-11-01", "h")),
    of("declined", patient(), HOME, consent("deny", "2026-11-01")),
    story(
        "in hospice and back in hospital",
        stay("z", "11-01 08:00", "11-05 12:00"),
        inside("b", "11-18 08:00"),
        order("385763009", "2026-11-01", "h"),
        dis_readmit=no("GX-02"),
        dis_tcm=no("GX-02"),
    ),
    story("in hospice and in the ED", X, order("385763009", "2026-11-01", "h"), ed_fu=no("GX-02")),
)


def filed_under(who: str, one: Json, form: str = "Patient/{}") -> Json:
    return one | {"subject": {"reference": form.format(who)}}


def linked(kind: str, other: str, **more: object) -> Json:
    return {"link": [{"type": kind, "other": {"reference": f"Patient/{other}"}}], **more}


MERGED = (
    story(
        "a stay filed under the replaced patient",
        patient("p0", **linked("replaced-by", "p1")),
        filed_under("p0", A),
        dis_tcm=HOME,
    ),
    story(
        "stays of both are read as one life",
        patient("p0", **linked("replaced-by", "p1")),
        filed_under("p0", stay("z", "11-01 08:00", "11-10 12:00")),
        A,
        dis_readmit=yes(index_discharge_date="2026-11-10", readmission_date="2026-11-15"),
    ),
    story(
        "overlapping encounters of both are one stay",
        patient("p0", **linked("replaced-by", "p1")),
        filed_under("p0", er("x", "11-15 02:00", "11-15 09:00")),
        A,
        dis_tcm=HOME,
        ed_overuse=no(value=0),
    ),
    story(
        "only replaces moves nothing",
        patient("p0"),
        filed_under("p0", A),
        person=patient(**linked("replaces", "p0")),
        dis_tcm=no("no_stay"),
    ),
    story(
        "see also moves nothing",
        patient("p0", **linked("seealso", "p1")),
        filed_under("p0", A),
        dis_tcm=no("no_stay"),
    ),
    story(
        "the replaced one is stopped",
        A,
        patient("p2"),
        person=patient(**linked("replaced-by", "p2")),
        dis_tcm=no("GX-01"),
    ),
)

OLD = inside("a", "11-15 08:00", meta={"lastUpdated": "2026-11-19T08:00:00Z"})
NEW = A | {"meta": {"lastUpdated": "2026-11-20T18:00:00Z"}}
INPUT = (
    story("a history reference", filed_under("p1", A, "Patient/{}/_history/3"), dis_tcm=HOME),
    story("the newer of two versions first", NEW, OLD, dis_tcm=yes(flags="", discharge_date="2026-11-20")),
    story("the newer of two versions last", OLD, NEW, dis_tcm=yes(flags="", discharge_date="2026-11-20")),
    story(
        "version ten is newer than nine",
        A | {"meta": {"versionId": "10"}},
        inside("a", "11-15 08:00", meta={"versionId": "9"}),
        dis_tcm=yes(flags="", discharge_date="2026-11-20"),
    ),
    story(
        "two versions that nothing orders",
        inside("a", "11-15 08:00"),
        A,
        dis_tcm=yes(has="duplicate_version"),
    ),
    story("the same line twice", A, A, dis_tcm=HOME),
    story("an id of a hundred characters", stay("e" * 100, "11-15 08:00", "11-20 12:00"), dis_tcm=HOME),
    story(
        "elements that nobody asked for",
        A
        | {
            "statusHistory": [{"status": "planned", "period": {"start": "2020"}}],
            "extension": [{"url": "urn:x", "valueString": "y"}],
            "text": {"status": "empty", "div": "<div/>"},
        },
        dis_tcm=HOME,
    ),
    story(
        "a class history does not make two",
        A | {"classHistory": [{"class": {"code": "EMER"}, "period": {"start": "2026-11-15"}}]},
        dis_tcm=HOME,
        ed_overuse=no(value=0),
    ),
)

TABLE = tell(*PEOPLE, *MERGED, *INPUT)


@pytest.fixture(scope="module")
def decided() -> dict[str, Json]:
    return decide_all(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_people_and_input(sentence: str, decided: dict[str, Json]) -> None:
    verify(decided[sentence], TABLE[sentence])


def test_references_under_the_one_base_of_the_folder_are_its_own() -> None:
    out = decide([patient(), filed_under("p1", A, "https://emr.example/fhir/Patient/{}")])
    assert out["DIS-TCM"]["outcome"] == YES


def test_an_encounter_without_an_id_leaves_no_discharge_of_its_patient_denied() -> None:
    line = json.dumps({name: value for name, value in A.items() if name != "id"})
    answer = evaluate([patient(), patient("p2")], raw_lines={"Encounter.ndjson": [line]})
    assert answer.code == 3
    for rule in ("DIS-TCM", "DIS-AMA", "DIS-SNF", "DIS-READMIT", "ED-FU", "ED-OVERUSE"):
        mine, other = answer.patients["p1"][rule], answer.patients["p2"][rule]
        assert (mine["outcome"], "input_incomplete" in mine["reasons"]) == (CANNOT_TELL, True), rule
        assert other["outcome"] == NO, rule


def test_an_unreadable_line_takes_no_discharge_away() -> None:
    out = decide([patient(), A], raw_lines={"Encounter.ndjson": ["<html>"]}, code=3)
    assert out["DIS-TCM"]["outcome"] == YES


def test_a_gate_still_stops_where_a_line_is_unreadable() -> None:
    out = decide([patient(deceasedBoolean=True), A], raw_lines={"Encounter.ndjson": ["<html>"]}, code=3)
    assert (out["DIS-TCM"]["outcome"], "GX-01" in out["DIS-TCM"]["reasons"]) == (NO, True)


def test_the_order_of_lines_never_matters() -> None:
    lines = [
        er("x", "10-20 20:00", "10-20 23:00"),
        stay("o", "10-20 23:00", "10-21 10:00", code="OBSENC", out=None),
        stay("a", "10-21 10:00", "10-25 12:00", out="snf"),
        in_snf("s", "10-25 14:00", "11-05 08:00", status="finished", out="other-hcf"),
        stay("b", "11-05 10:00", "11-10 12:00"),
        er("y", "11-19 10:00", "11-19 12:00"),
        visit("v", "11-20 09:00"),
    ]
    first = decide([patient(), *lines])
    shuffler = random.Random(2)
    for _ in range(6):
        shuffler.shuffle(lines)
        assert decide([*lines, patient()]) == first


def test_an_encounter_of_a_patient_without_a_patient_resource_is_reported_not_decided() -> None:
    answer = evaluate([patient(), A | {"subject": {"reference": "Patient/nobody"}}])
    assert set(answer.patients) == {"p1"}
    assert answer.patients["p1"]["DIS-TCM"]["outcome"] == NO
