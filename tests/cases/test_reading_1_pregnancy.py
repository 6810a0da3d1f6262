"""Reading of rule 1.7.2 and of the reliability flags of 1.8."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import SNOMED, a1c, condition, diabetes, patient, procedure
from tests.cases.harness import CANNOT_TELL, NO, YES, ByRule
from tests.cases.tables import Case, Json, case, check, decide_together

DM = (patient(), diabetes())
HIGH = a1c(8.4)


def pregnant(onset: str | None = "2026-07-01", recorded: str | None = None, **more: object) -> Json:
    return condition(
        "77386006",
        "pregnancy",
        system=SNOMED,
        onsetDateTime=onset,
        recordedDate=recorded,
        **more,  # type: ignore[arg-type]
    )


def provider(*resources: Json, rule: str = "A1C-OUT") -> Case:
    return case(rule, NO, *DM, *resources, reasons="pregnancy_route_to_provider")


def decides(*resources: Json, flags: str | None = "") -> Case:
    """The pregnancy does not stand in the way."""
    return case(
        "A1C-OUT",
        YES,
        *DM,
        HIGH,
        *resources,
        without="pregnancy_route_to_provider",
        flags=flags,
        threshold=7.0,
    )


PREGNANCY = {
    "a pregnant patient is the provider's": provider(HIGH, pregnant()),
    "pregnancy decides without a result": provider(pregnant()),
    "pregnancy stops the overdue test too": provider(pregnant(), rule="A1C-OVERDUE"),
    "a result in the diabetic range without a diagnosis is still told": case(
        "A1C-NODX", YES, patient(), HIGH, pregnant(), reasons="diabetic_range_without_diagnosis"
    ),
    "without diabetes there is nothing to stop": case(
        "A1C-OUT", NO, patient(), HIGH, pregnant(), reasons="no_diabetes"
    ),
    "onset 300 days ago is still a pregnancy": provider(HIGH, pregnant("2026-01-26")),
    "onset 301 days ago was never closed": decides(pregnant("2026-01-25"), flags="pregnancy_stale"),
    "without onset the recorded date counts": provider(HIGH, pregnant(None, "2026-07-01")),
    "an old recorded date is stale without onset": decides(
        pregnant(None, "2025-07-01"), flags="pregnancy_stale"
    ),
    "onset goes before a newer recorded date": decides(
        pregnant("2025-07-01", "2026-10-01"), flags="pregnancy_stale"
    ),
    "an abated pregnancy is over": decides(pregnant(abatementDateTime="2026-10-01"), flags=None),
    "a resolved pregnancy is over": decides(pregnant(clinical="resolved")),
    "a refuted pregnancy never was": decides(pregnant(verification="refuted")),
    "a pregnancy entered in error never was": decides(pregnant(verification="entered-in-error")),
    "a pregnancy recorded at a visit counts": provider(HIGH, pregnant(category="encounter-diagnosis")),
    "gestational diabetes is no counted diabetes": case(
        "A1C-OUT", NO, patient(), HIGH, condition("O24.410"), reasons="no_diabetes"
    ),
    "a future onset is ignored": decides(pregnant("2027-02-01", "2027-02-01"), flags=None),
    "a year of onset that may be too old leaves it open": case(
        "A1C-OUT", CANNOT_TELL, *DM, HIGH, pregnant("2026"), flags=None
    ),
    "a year of onset wholly within 300 days is a pregnancy": provider(HIGH, pregnant("2026-05")),
}


def told(*resources: Json, rule: str = "A1C-OUT", outcome: str = YES) -> Case:
    return case(rule, outcome, *DM, HIGH, *resources, flags="unreliable_a1c")


def not_told(*resources: Json) -> Case:
    return case("A1C-OUT", YES, *DM, HIGH, *resources, without="unreliable_a1c")


RELIABILITY = {
    "sickle cell disease is shown and does not decide": told(condition("D57.1")),
    "hemolytic anemia is shown and does not decide": told(condition("D59.0")),
    "ESRD is shown and does not decide": told(condition("N18.6")),
    "dialysis is shown and does not decide": told(condition("Z99.2", recordedDate="2026-09-01")),
    "a transfusion 120 days ago is shown": told(procedure("71493000", "2026-07-25", "blood")),
    "a transfusion 121 days ago is not": not_told(procedure("71493000", "2026-07-24", "blood")),
    "platelets are not": not_told(procedure("12719002", "2026-11-01", "platelets")),
    "a transfusion that was not done is not": not_told(
        procedure("71493000", "2026-11-01", "blood", status="not-done")
    ),
    "a resolved anemia is not": not_told(condition("D59.0", clinical="resolved")),
    "the flag stands on a value without diagnosis as well": case(
        "A1C-NODX", YES, patient(), HIGH, condition("D57.1"), flags="unreliable_a1c"
    ),
}

TABLE = PREGNANCY | RELIABILITY


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_pregnancy_and_unreliable_blood_are_read_as_the_specification_says(
    sentence: str, decided: dict[str, ByRule]
) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)
