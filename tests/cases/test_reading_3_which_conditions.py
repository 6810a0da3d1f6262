"""Reading of rules 3.2 and 3.3: which Conditions count, by category, status, verification and dates."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import ICD, SNOMED, THO, condition, diagnosis, encounter, patient, quantity
from tests.cases.harness import CANNOT_TELL, NO, YES, ByRule
from tests.cases.tables import Case, Json, case, check, decide_together

HTN = condition("I10")
DM = ("E11.9", "dm")


def counted(groups: str, *resources: Json, flags: str | None = "", without: str = "") -> Case:
    """Hypertension stands on the problem list; `groups` are all that count, in any order."""
    words = sorted({"hypertension", *groups.split()})
    outcome = YES if len(words) > 1 else NO
    word = "enough_groups" if len(words) > 1 else "too_few_groups"
    return case(
        "CHR-MULTI",
        outcome,
        patient(),
        HTN,
        *resources,
        reasons=word,
        flags=flags,
        without=without,
        groups=words,
    )


def possible(group: str, *resources: Json, flags: str | None = "possible_conditions") -> Case:
    return case(
        "CHR-MULTI", NO, patient(), HTN, *resources, flags=flags, groups=["hypertension"], possible=[group]
    )


def unconfirmed(*resources: Json, flags: str | None = None) -> Case:
    return case(
        "CHR-MULTI",
        CANNOT_TELL,
        patient(),
        HTN,
        *resources,
        reasons="unconfirmed_conditions",
        flags=flags,
        groups=["hypertension"],
    )


def stay(id: str, kind: str = "IMP", day: str = "2026-09-03") -> Json:
    return encounter(id, kind, f"{day}T10:00-04:00", f"{day}T22:00-04:00", disposition="home")


CATEGORIES = {
    "a problem-list entry counts": counted("diabetes", condition(*DM)),
    "a health concern with a mapped code counts": counted(
        "diabetes", condition(*DM, category="health-concern")
    ),
    "without a category it is as an encounter diagnosis, and one is too few": possible(
        "diabetes", condition(*DM, category=None, recordedDate="2026-09-03")
    ),
    "without a category two dates count": counted(
        "diabetes",
        condition("E11.9", "a", category=None, recordedDate="2026-09-03"),
        condition("E11.9", "b", category=None, recordedDate="2026-10-03"),
    ),
    "the category may stand in the second place": counted(
        "diabetes",
        condition(*DM)
        | {
            "category": [
                {"coding": [{"system": "urn:emr", "code": "x"}]},
                {"coding": [{"system": f"{THO}condition-category", "code": "problem-list-item"}]},
            ]
        },
    ),
    "a cataract never counts": counted("", condition("H26.9")),
    "a hip fracture never counts": counted("", condition("S72.001A")),
    "pneumonia never counts": counted("", condition("J18.9")),
    "prediabetes never counts": counted("", condition("R73.03"), condition("15777000", system=SNOMED)),
    "obesity is an extension and off": counted("", condition("E66.9")),
    "a social finding is no condition": counted("", condition("73595000", system=SNOMED)),
}

STATUSES = (
    {
        f"{status} counts": counted("diabetes", condition(*DM, clinical=status))
        for status in ("active", "recurrence", "relapse")
    }
    | {
        f"{status} does not count": counted("", condition(*DM, clinical=status), flags=None)
        for status in ("inactive", "resolved", "remission", "unknown")
    }
    | {
        "a cancer in remission counts": counted("cancer_prostate", condition("C61", clinical="remission")),
        "without a status an encounter diagnosis may count": counted(
            "diabetes", diagnosis("E11.9", "2026-09-03", "a"), diagnosis("E11.9", "2026-10-03", "b")
        ),
        "without a status a problem-list entry is not known to be active": unconfirmed(
            condition(*DM, clinical=None)
        ),
        "without a verification it is confirmed": counted("diabetes", condition(*DM, verification=None)),
    }
    | {
        f"{word} is listed as possible": possible("diabetes", condition(*DM, verification=word))
        for word in ("unconfirmed", "provisional", "differential")
    }
    | {
        f"{word} is not even possible": counted("", condition(*DM, verification=word))
        for word in ("refuted", "entered-in-error")
    }
)

ABATED = {
    "abated in the past is abated though active": counted(
        "", condition(*DM, abatementDateTime="2026-05-01"), flags=None
    ),
    "abated tomorrow or later is not abated": counted(
        "diabetes", condition(*DM, abatementDateTime="2026-12-31")
    ),
    "a year of abatement that is over is abated": counted(
        "", condition(*DM, abatementDateTime="2025"), flags=None
    ),
    "a year of abatement that is not over leaves it open": unconfirmed(
        condition(*DM, abatementDateTime="2026")
    ),
    "a month of abatement that is not over leaves it open": unconfirmed(
        condition(*DM, abatementDateTime="2026-11")
    ),
    "an abatement in words is an abatement": counted(
        "", condition(*DM, abatementString="years ago"), flags=None
    ),
    "an abatement at an age is an abatement": counted(
        "", condition(*DM, abatementAge=quantity(45, "a")), flags=None
    ),
    "an abatement over a period is one": counted(
        "", condition(*DM, abatementPeriod={"start": "2026-01-01", "end": "2026-02-01"}), flags=None
    ),
    "resolved with an abatement is no conflict": counted(
        "",
        condition(*DM, clinical="resolved", abatementDateTime="2026-05-01"),
        flags=None,
        without="abatement_conflict",
    ),
    "active with an abatement in the past is a conflict": counted(
        "", condition(*DM, abatementDateTime="2026-05-01"), flags="abatement_conflict"
    ),
}

DATES = {
    "recorded and begun after tomorrow is ignored": counted(
        "", condition(*DM, onsetDateTime="2026-12-24", recordedDate="2026-12-24"), flags="future_date"
    ),
    "no date at all does not matter on the problem list": counted(
        "diabetes", condition(*DM, recordedDate=None)
    ),
}


def anemia(id: str = "anemia", **more: object) -> Json:
    return condition("D50.9", id, **more)  # type: ignore[arg-type]


CONDITIONAL = {
    "conditional, on the problem list for twelve months to the day: counts": counted(
        "anemia", anemia(onsetDateTime="2025-11-22", recordedDate="2026-10-01")
    ),
    "conditional, a day less: possible": possible(
        "anemia", anemia(onsetDateTime="2025-11-23", recordedDate=None)
    ),
    "conditional, onset goes before an older recording": possible(
        "anemia", anemia(onsetDateTime="2026-06-01", recordedDate="2020-01-01")
    ),
    "conditional, without onset the recording counts": counted("anemia", anemia(recordedDate="2024-01-01")),
    "conditional without any date does not count": possible("anemia", anemia(recordedDate=None)),
    "conditional with a year of onset that may be too young does not count": possible(
        "anemia", anemia(onsetDateTime="2025", recordedDate=None), flags="partial_date possible_conditions"
    ),
    "conditional with a year of onset that is old enough counts": counted(
        "anemia", anemia(onsetDateTime="2024", recordedDate=None), flags="partial_date"
    ),
    "conditional, recorded twice 30 days apart: counts": counted(
        "anemia", diagnosis("D50.9", "2026-03-01", "a"), diagnosis("D50.9", "2026-03-31", "b")
    ),
    "conditional, recorded twice 29 days apart: possible": possible(
        "anemia", diagnosis("D50.9", "2026-03-01", "a"), diagnosis("D50.9", "2026-03-30", "b")
    ),
    "conditional, two dates of any category: counts": counted(
        "anemia", anemia("a", recordedDate="2026-03-01"), diagnosis("D50.9", "2026-05-01", "b")
    ),
    "conditional, one of two dates before 24 months: possible": possible(
        "anemia", diagnosis("D50.9", "2024-10-01", "a"), diagnosis("D50.9", "2026-03-01", "b")
    ),
    "conditional, one diagnosis of a stay is not enough": possible(
        "anemia", stay("s"), diagnosis("D50.9", "2026-09-03", "a", encounter="s")
    ),
    "conditional, an old active visit diagnosis never persists": possible(
        "anemia", diagnosis("D50.9", "2019-03-01", "a", clinical="active")
    ),
    "an infarction counts from one diagnosis of a stay": counted(
        "ischemic_heart_disease", stay("s"), diagnosis("I21.4", "2026-09-03", "a", encounter="s")
    ),
    "a stroke counts from one diagnosis of a stay": counted(
        "stroke_tia", stay("s"), diagnosis("I63.9", "2026-09-03", "a", encounter="s")
    ),
    "an infarction of a stay thirteen months ago does not": possible(
        "ischemic_heart_disease",
        stay("s", day="2025-10-15"),
        diagnosis("I21.4", "2025-10-15", "a", encounter="s"),
        flags=None,
    ),
    "an infarction of one visit does not": possible(
        "ischemic_heart_disease", stay("v", "AMB"), diagnosis("I21.4", "2026-09-03", "a", encounter="v")
    ),
    "an infarction on the problem list for two months does not": possible(
        "ischemic_heart_disease", condition("I21.4", onsetDateTime="2026-09-15")
    ),
    "sequelae of a stroke count at once": counted(
        "stroke_tia", condition("I69.351", onsetDateTime="2026-10-01")
    ),
    "a history of stroke does not count": counted("", condition("Z86.73")),
}

GROUPS = {
    "two dementias are one": case(
        "CHR-MULTI", NO, patient(), condition("G30.9"), condition("F01.50"), groups=["dementia"]
    ),
    "heart disease and infarction are one": case(
        "CHR-MULTI",
        NO,
        patient(),
        condition("I25.10"),
        condition("I21.4", onsetDateTime="2024-01-01"),
        groups=["ischemic_heart_disease"],
    ),
    "two kinds of arthritis are one": case(
        "CHR-MULTI", NO, patient(), condition("M05.79"), condition("M17.0"), groups=["arthritis"]
    ),
    "one disease in two code systems is one": case(
        "CHR-MULTI",
        NO,
        patient(),
        condition("E11.9"),
        condition("44054006", system=SNOMED),
        groups=["diabetes"],
    ),
    "nothing at all is nothing": case(
        "CHR-MULTI", NO, patient(), reasons="too_few_groups", groups=[], flags=""
    ),
    "ICD-10 of the WHO is another system": counted(
        "", condition("E11.9", "who", system="http://hl7.org/fhir/sid/icd-10")
    ),
    "a code without its dot is the code": counted("diabetes", condition("E119", system=ICD)),
    "a code in small letters is the code": counted("diabetes", condition("e11.9", "small", system=ICD)),
    "a text alone never matches": counted("", condition(*DM) | {"code": {"text": "Type 2 diabetes E11.9"}}),
}

TABLE = CATEGORIES | STATUSES | ABATED | DATES | CONDITIONAL | GROUPS


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_a_condition_counts_as_the_specification_says(sentence: str, decided: dict[str, ByRule]) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)
