"""Reading of rules 3.4 to 3.7: how strong a diagnosis is, and what codes mean together."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import ICD, SNOMED, codings, condition, diagnosis, encounter, patient
from tests.cases.harness import CANNOT_TELL, NO, YES, ByRule, decide
from tests.cases.tables import Case, Json, case, check, decide_together

HTN = condition("I10")


def counted(groups: str, *resources: Json, flags: str | None = "", without: str = "") -> Case:
    words = sorted({"hypertension", *groups.split()})
    outcome = YES if len(words) > 1 else NO
    return case("CHR-MULTI", outcome, patient(), HTN, *resources, flags=flags, without=without, groups=words)


def only(groups: str, *resources: Json, flags: str | None = "") -> Case:
    """Without the hypertension of the others."""
    words = sorted(groups.split())
    outcome = YES if len(words) > 1 else NO
    return case("CHR-MULTI", outcome, patient(), *resources, flags=flags, groups=words)


def too_few(*resources: Json) -> Case:
    return counted("", *resources, flags="possible_conditions")


def unconfirmed(*resources: Json) -> Case:
    return case(
        "CHR-MULTI",
        CANNOT_TELL,
        patient(),
        HTN,
        *resources,
        reasons="unconfirmed_conditions",
        groups=["hypertension"],
    )


def visit(id: str, kind: str, day: str) -> Json:
    return encounter(id, kind, f"{day}T10:00-05:00", f"{day}T11:00-05:00")


def copd(on: str | None, id: str, at: str | None = None, **more: object) -> Json:
    return diagnosis("J44.9", on, id, encounter=at, **more)  # type: ignore[arg-type]


def one_of(kind: str) -> tuple[Json, Json]:
    return visit("v", kind, "2026-09-03"), copd("2026-09-03", "a", "v")


STRENGTH = {
    "one diagnosis of an inpatient stay is enough": counted("copd", *one_of("IMP")),
    "one diagnosis of an acute stay is enough": counted("copd", *one_of("ACUTE")),
    "one diagnosis of a nursing facility stay is enough": counted(
        "copd",
        visit("v", "NONAC", "2026-09-03") | {"type": [codings((SNOMED, "449411000124106"))]},
        copd("2026-09-03", "a", "v"),
    ),
    "one diagnosis of a home-health visit is enough": counted("copd", *one_of("HH")),
    "one diagnosis of an office visit is not": too_few(*one_of("AMB")),
    "one diagnosis of an observation is not": too_few(*one_of("OBSENC")),
    "one diagnosis of an emergency visit is not": too_few(*one_of("EMER")),
    "one diagnosis of a stay that was entered in error is not": too_few(
        visit("v", "IMP", "2026-09-03") | {"status": "entered-in-error"}, copd("2026-09-03", "a", "v")
    ),
    "two diagnoses on different dates are": counted("copd", copd("2026-03-02", "a"), copd("2026-03-03", "b")),
    "two diagnoses on one date are not": too_few(copd("2026-03-02", "a"), copd("2026-03-02", "b")),
    "two instants of one local date are one date": too_few(
        copd("2026-03-02T09:00:00-05:00", "a"), copd("2026-03-03T02:00:00Z", "b")
    ),
    "without a recorded date the encounter's start counts": counted(
        "copd", visit("v", "AMB", "2026-03-02"), copd(None, "a", "v"), copd("2026-04-02", "b")
    ),
    "observation and outpatient are two dates": counted(
        "copd",
        visit("o", "OBSENC", "2026-03-02"),
        visit("v", "AMB", "2026-04-02"),
        copd("2026-03-02", "a", "o"),
        copd("2026-04-02", "b", "v"),
    ),
    "two dates of one group count across its categories": counted(
        "dementia", diagnosis("G30.9", "2026-03-02", "a"), diagnosis("F03.90", "2026-04-02", "b")
    ),
    "two dates of different groups do not": too_few(
        copd("2026-03-02", "a"), diagnosis("J45.909", "2026-04-02", "b")
    ),
    "a conditional diagnosis is not one of the two dates": too_few(
        diagnosis("I25.10", "2026-03-02", "a"), diagnosis("I21.4", "2026-04-02", "b")
    ),
    "24 months ago to the day is in time": counted("copd", copd("2024-11-22", "a"), copd("2026-03-02", "b")),
    "a day before 24 months is not": too_few(copd("2024-11-21", "a"), copd("2026-03-02", "b")),
    "a stay of 25 months ago is not": too_few(visit("v", "IMP", "2024-10-01"), copd("2024-10-01", "a", "v")),
    "a provisional second date is none": too_few(
        copd("2026-03-02", "a"), copd("2026-04-02", "b", verification="provisional")
    ),
    "a refuted second date is none": too_few(
        copd("2026-03-02", "a"), copd("2026-04-02", "b", verification="refuted")
    ),
    "a problem-list entry beside one diagnosis counts as the problem list does": counted(
        "copd", condition("J44.9"), copd("2026-03-02", "a")
    ),
}


def old(code: str = "J44.9", id: str = "old", **more: object) -> Json:
    return diagnosis(code, "2019-05-05", id, **({"clinical": "active"} | more))  # type: ignore[arg-type]


PERSISTING = {
    "an old active visit diagnosis leaves it to be confirmed": unconfirmed(old()),
    "a relapse persists": unconfirmed(old(clinical="relapse")),
    "a missing status does not persist": too_few(old(clinical=None)),
    "twelve months ago to the day persists": unconfirmed(old(recordedDate="2025-11-22")),
    "a day less does not": too_few(old(recordedDate="2025-11-23")),
    "onset goes before the recording": unconfirmed(
        old(onsetDateTime="2019-01-01", recordedDate="2026-10-01")
    ),
    "a young onset does not persist": too_few(old(onsetDateTime="2026-06-01")),
    "without dates its encounter's start counts": unconfirmed(
        visit("v", "AMB", "2019-05-05"), old(recordedDate=None, encounter="v")
    ),
    "what nobody dated is only possible": too_few(old(recordedDate=None)),
    "a second diagnosis without a date is no second date": too_few(
        copd("2026-03-02", "a"), copd(None, "b", onsetDateTime="2026-06-01")
    ),
    "an abated one does not persist": counted("", old(abatementDateTime="2020-01-01"), flags=None),
    "one persisting group alone is too few": case(
        "CHR-MULTI", NO, patient(), old(), reasons="too_few_groups", groups=[]
    ),
    "two persisting groups would reach the limit": case(
        "CHR-MULTI",
        CANNOT_TELL,
        patient(),
        old(),
        old("I10", "old2"),
        reasons="unconfirmed_conditions",
        groups=[],
    ),
    "two persisting dementias are one group": case(
        "CHR-MULTI", NO, patient(), old("G30.9"), old("F03.90", "old2"), groups=[]
    ),
    "a persisting group that also counts is not two": counted("", old("I10"), flags=None),
    "with two counted groups a third persisting one does not matter": case(
        "CHR-MULTI", YES, patient(), HTN, condition("E11.9"), old(), groups=["diabetes", "hypertension"]
    ),
}

SINGLE = "single_code_multi_category"
COMBINED = {
    "I11.0 is hypertension and heart failure": only(
        "heart_failure hypertension", condition("I11.0"), flags=SINGLE
    ),
    "I12.9 is hypertension and kidney disease": only(
        "chronic_kidney_disease hypertension", condition("I12.9"), flags=SINGLE
    ),
    "I13.0 is all three": only(
        "chronic_kidney_disease heart_failure hypertension", condition("I13.0"), flags=SINGLE
    ),
    "I13.2 is all three": only(
        "chronic_kidney_disease heart_failure hypertension", condition("I13.2"), flags=SINGLE
    ),
    "I13.10 is hypertension and kidney disease": only(
        "chronic_kidney_disease hypertension", condition("I13.10"), flags=SINGLE
    ),
    "I11.9 is hypertension": only("hypertension", condition("I11.9")),
    "E11.22 is diabetes and kidney disease": only(
        "chronic_kidney_disease diabetes", condition("E11.22"), flags=SINGLE
    ),
    "E10.21 is diabetes and kidney disease": only(
        "chronic_kidney_disease diabetes", condition("E10.21"), flags=SINGLE
    ),
    "the SNOMED code for diabetic kidney disease is both": only(
        "chronic_kidney_disease diabetes", condition("127013003", system=SNOMED), flags=SINGLE
    ),
    "a diabetic cataract is diabetes": only("diabetes", condition("E11.36")),
    "one combination at one visit is too weak for both": only(
        "", diagnosis("I11.0", "2026-09-03", "a"), flags="possible_conditions"
    ),
    "three from one code satisfy no second resource": only(
        "chronic_kidney_disease heart_failure hypertension",
        condition("I13.0"),
        condition("I13.0", "again"),
        flags=None,
    ),
    "the longest prefix decides: remission is no diabetes": only("", condition("E11.A")),
    "depression in full remission is not counted": only("", condition("F33.42")),
    "bipolar in partial remission is counted": only("depression_bipolar", condition("F31.71")),
}


def coded(
    *pairs: tuple[str, str], id: str = "two", category: str = "problem-list-item", **more: object
) -> Json:
    return condition("x", id, category=category, **more) | {"code": codings(*pairs)}  # type: ignore[arg-type]


def chosen(pick: int, *pairs: tuple[str, str], **more: object) -> Json:
    resource = coded(*pairs, **more)  # type: ignore[arg-type]
    resource["code"]["coding"][pick]["userSelected"] = True
    return resource


COPD, ASTHMA, DM2 = (SNOMED, "13645005"), (ICD, "J45.909"), (SNOMED, "44054006")
CODINGS = {
    "two codings of one category are no conflict": only("diabetes", coded((ICD, "E11.9"), DM2)),
    "on the problem list SNOMED wins": only("copd", coded(ASTHMA, COPD), flags="coding_conflict"),
    "at a visit ICD wins": only(
        "asthma",
        coded(COPD, ASTHMA, id="a", category="encounter-diagnosis", recordedDate="2026-09-03"),
        coded(COPD, ASTHMA, id="b", category="encounter-diagnosis", recordedDate="2026-10-03"),
        flags="coding_conflict",
    ),
    "what the user selected wins": only("asthma", chosen(0, ASTHMA, COPD), flags="coding_conflict"),
    "else the first coding wins": only("asthma", coded(ASTHMA, (ICD, "J44.9")), flags="coding_conflict"),
    "a code that refines the other is no conflict and the union counts": only(
        "chronic_kidney_disease diabetes", coded((ICD, "E11.22"), DM2), flags=SINGLE
    ),
    "the order of the refining codes does not matter": only(
        "chronic_kidney_disease diabetes", coded(DM2, (ICD, "E11.22")), flags=SINGLE
    ),
    "a history beside the disease is a conflict and not counted": case(
        "CHR-MULTI",
        NO,
        patient(),
        coded((ICD, "C50.911"), (ICD, "Z85.3")),
        flags="coding_conflict possible_conditions",
        groups=[],
        possible=["cancer_breast"],
    ),
    "a history of another disease is ignored": only("hypertension", coded((ICD, "I10"), (ICD, "Z85.3"))),
    "a trap beside the disease is ignored": only("diabetes", coded(DM2, (SNOMED, "80394007"))),
    "an unknown coding beside a known one is ignored": only(
        "diabetes", coded(("urn:emr", "77"), (ICD, "E11.9"))
    ),
}

RESULT = {
    "conditions that fall short are listed by group": case(
        "CHR-MULTI",
        NO,
        patient(),
        HTN,
        condition("I50.9", verification="provisional"),
        copd("2026-09-03", "a"),
        flags="possible_conditions",
        groups=["hypertension"],
        possible=["copd", "heart_failure"],
    ),
    "two groups are enough": case(
        "CHR-MULTI", YES, patient(), HTN, condition("E11.9"), reasons="enough_groups", flags=""
    ),
}

TABLE = STRENGTH | PERSISTING | COMBINED | CODINGS | RESULT


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_evidence_is_weighed_as_the_specification_says(sentence: str, decided: dict[str, ByRule]) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)


def test_a_practice_can_ask_for_three_groups() -> None:
    world = [patient(), HTN, condition("E11.9")]
    three = {"chr.min_groups": "3"}
    assert decide(world, settings=three)["CHR-MULTI"]["outcome"] == NO
    assert decide([*world, condition("J44.9")], settings=three)["CHR-MULTI"]["outcome"] == YES


@pytest.mark.parametrize(("mode", "outcome"), [("confirm", CANNOT_TELL), ("count", YES), ("ignore", NO)])
def test_a_practice_says_what_a_persisting_diagnosis_is_worth(mode: str, outcome: str) -> None:
    settings = {"chr.persisting_encounter_dx": mode}
    assert decide([patient(), HTN, old()], settings=settings)["CHR-MULTI"]["outcome"] == outcome
