"""Reading of rules 1.3, 1.4 and 1.6: which result is the newest, when it was, and what is pending."""

from __future__ import annotations

import pytest

from tests.cases.fhir_json import LOINC, a1c, codings, concept, diabetes, patient
from tests.cases.harness import CANNOT_TELL, NO, YES, ByRule
from tests.cases.tables import Case, Json, case, check, decide_together

DM = (patient(), diabetes())
OLD = a1c(6.5, "2026-05-01", id="old")  # at target, 205 days before as_of: overdue if nothing newer
BLOOD = {"reference": "Specimen/blood"}


def out(outcome: str, *results: Json, flags: str | None = "", **more: object) -> Case:
    return case("A1C-OUT", outcome, *DM, *results, flags=flags, **more)  # type: ignore[arg-type]


def overdue(outcome: str, *results: Json, **more: object) -> Case:
    return case("A1C-OVERDUE", outcome, *DM, *results, **more)  # type: ignore[arg-type]


def dated(outcome: str, last_test: str, result: Json, *others: Json, flags: str = "") -> Case:
    return case("A1C-OVERDUE", outcome, *DM, result, *others, flags=flags, last_test=last_test)


def status(word: str, value: float = 9.0, on: str = "2026-11-10", **more: object) -> Json:
    return a1c(value, on, id=f"s-{word}", status=word, **more)  # type: ignore[arg-type]


def specimen(**collection: object) -> Json:
    return {
        "resourceType": "Specimen",
        "id": "blood",
        "subject": {"reference": "Patient/p1"},
        "collection": collection,
    }


STATUSES = (
    {
        f"{word} is usable": out(YES, status(word), OLD, value=9.0)
        for word in ("final", "amended", "corrected")
    }
    | {
        f"{word} is ignored": out(NO, status(word), OLD, reasons="at_target", value=6.5)
        for word in ("cancelled", "entered-in-error", "unknown")
    }
    | {
        f"{word} is pending and does not decide": out(
            NO, status(word), OLD, reasons="at_target", flags="pending_newer_result", value=6.5
        )
        for word in ("registered", "preliminary")
    }
)

PENDING = {
    "a pending result of today holds the overdue test back": overdue(
        NO, status("registered", on="2026-11-22"), OLD, flags="pending_newer_result"
    ),
    "a pending result holds the overdue test back on day 14": overdue(
        NO, status("registered", on="2026-11-08"), OLD, flags="pending_newer_result"
    ),
    "a pending result of day 15 is as if it did not exist": overdue(
        YES, status("registered", on="2026-11-07"), OLD, reasons="test_overdue", flags=""
    ),
    "a pending result of day 15 leaves no flag on the newest result": out(
        NO, status("preliminary", on="2026-11-07"), OLD, flags=""
    ),
    "a pending result that is older than the newest usable one says nothing": out(
        YES, status("preliminary", on="2026-11-09"), a1c(8.0), flags="", value=8.0
    ),
    "a pending result without any other leaves the value unknown": out(
        CANNOT_TELL, status("preliminary"), flags="pending_newer_result"
    ),
    "a first pending result holds back the test that was never done": overdue(NO, status("registered")),
}

DATES = {
    "the day is local": dated(NO, "2026-11-10", a1c(6.5, "2026-11-11T03:00:00Z")),
    "an offset to the east is converted": dated(NO, "2026-11-09", a1c(6.5, "2026-11-10T09:00:00+09:00")),
    "a date without a time is not moved": dated(NO, "2026-11-10", a1c(6.5, "2026-11-10")),
    "a time without an offset is local and flagged": dated(
        NO, "2026-11-10", a1c(6.5, "2026-11-10T23:30:00"), flags="dq_no_offset"
    ),
    "a period is dated by its end": dated(
        NO, "2026-11-09", a1c(6.5, None, effectivePeriod={"start": "2026-11-01", "end": "2026-11-09"})
    ),
    "a period without an end is dated by its start": dated(
        NO, "2026-11-01", a1c(6.5, None, effectivePeriod={"start": "2026-11-01"})
    ),
    "an instant is a date": dated(NO, "2026-11-08", a1c(6.5, None, effectiveInstant="2026-11-08T12:00:00Z")),
    "a timing is dated by its last event": dated(
        NO, "2026-11-07", a1c(6.5, None, effectiveTiming={"event": ["2026-11-07", "2026-11-03"]})
    ),
    "without an effective date the specimen's collection counts": dated(
        NO,
        "2026-11-06",
        a1c(6.5, None, specimen=BLOOD, issued="2026-11-08T12:00:00Z"),
        specimen(collectedDateTime="2026-11-06T09:00:00-05:00"),
        flags="dq_effective_missing",
    ),
    "a specimen collected over a period counts": dated(
        NO,
        "2026-11-06",
        a1c(6.5, None, specimen=BLOOD),
        specimen(collectedPeriod={"start": "2026-11-06T09:00:00-05:00", "end": "2026-11-06T09:05:00-05:00"}),
        flags="dq_effective_missing",
    ),
    "with neither, issued counts": dated(
        NO, "2026-11-08", a1c(6.5, None, issued="2026-11-08T12:00:00Z"), flags="dq_effective_missing"
    ),
    "a specimen that does not exist leaves issued": dated(
        NO,
        "2026-11-08",
        a1c(6.5, None, specimen=BLOOD, issued="2026-11-08T12:00:00Z"),
        flags="dq_effective_missing",
    ),
    "the time of the last update is never a date": out(
        CANNOT_TELL,
        a1c(9.0, None, meta={"lastUpdated": "2026-11-10T12:00:00Z"}),
        reasons="no_usable_result",
        flags="undated",
    ),
    "a result without any date is no test": overdue(
        YES, a1c(6.5, None), reasons="never_tested", flags="undated"
    ),
    "a result of tomorrow morning is not yet future": out(
        YES, a1c(9.0, "2026-11-23T14:00:00-05:00"), OLD, value=9.0
    ),
    "a result more than a day ahead is ignored": out(
        NO, a1c(9.0, "2026-11-23T15:00:01-05:00"), OLD, flags="future_date", value=6.5
    ),
}

WINDOW = {
    "365 days ago is within 365 days": out(YES, a1c(8.0, "2025-11-22"), value=8.0),
    "366 days ago is no recent result": out(
        CANNOT_TELL, a1c(8.0, "2025-11-21"), reasons="no_recent_result", flags=None
    ),
    "an old usable result behind a recent unusable one is no recent usable result": out(
        CANNOT_TELL, a1c(8.0, "2025-06-01", id="old"), a1c(8.0, unit="mg/dL"), flags=None
    ),
    "no result at all is no recent result": out(CANNOT_TELL, reasons="no_recent_result"),
}


def day(value: float, time: str | None, id: str, **more: object) -> Json:
    on = "2026-11-10" if time is None else f"2026-11-10T{time}:00-05:00"
    return a1c(value, on, id=id, **more)  # type: ignore[arg-type]


def ifcc(value: float, time: str | None, id: str) -> Json:
    return day(value, time, id, code="59261-8", unit="mmol/mol")


SAME_DAY = {
    "of one day's results with a time the latest instant counts": out(
        YES, day(6.0, "08:00", "a"), day(8.0, "16:00", "b"), value=8.0
    ),
    "instants are compared across offsets": out(
        YES, a1c(8.0, "2026-11-10T20:00:00Z", id="a"), day(6.0, "14:00", "b"), value=8.0
    ),
    "if one of the day lacks a time, corrected beats final": out(
        NO, day(6.4, None, "a", status="corrected"), day(8.0, "16:00", "b"), value=6.4
    ),
    "corrected beats amended": out(
        NO, day(6.4, None, "a", status="corrected"), day(8.0, None, "b", status="amended"), value=6.4
    ),
    "amended beats final": out(YES, day(8.4, None, "a", status="amended"), day(6.0, None, "b"), value=8.4),
    "then the latest issued counts": out(
        YES,
        day(8.4, None, "a", issued="2026-11-12T12:00:00Z"),
        day(6.0, None, "b", issued="2026-11-11T12:00:00Z"),
        value=8.4,
    ),
    "then the lowest value counts": out(NO, day(8.4, None, "a"), day(6.8, None, "b"), value=6.8),
    "a later day beats a corrected earlier one": out(
        YES, a1c(8.4, "2026-11-11", id="a"), day(6.0, None, "b", status="corrected"), value=8.4
    ),
    "dual reporting at one instant is one result, the native percent": out(
        YES, day(7.1, "08:00", "a"), ifcc(53, "08:00", "b"), value=7.1
    ),
    "dual reporting does not hide a value at target behind its conversion": out(
        NO, day(7.0, "08:00", "a"), ifcc(54, "08:00", "b"), value=7.0
    ),
}

NEWER = {
    "a newer unusable result is flagged and the usable one decides": out(
        NO,
        a1c(140, unit="mg/dL", id="bad"),
        OLD,
        reasons="at_target",
        flags="newer_unusable_result unit_wrong",
        value=6.5,
    ),
    "an older unusable result is not flagged as newer": out(
        YES,
        a1c(8.0),
        a1c(140, "2026-10-01", unit="mg/dL", id="bad"),
        without="newer_unusable_result",
        flags=None,
    ),
    "a month of a result is overlapped by a day of it, and the day wins": out(
        NO, a1c(9.0, "2026-11", id="a"), a1c(6.8, "2026-11-05", id="b"), flags=None, value=6.8
    ),
    "a month that lies wholly later wins over a day": out(
        YES, a1c(9.0, "2026-11", id="a"), a1c(6.8, "2026-10-31", id="b"), flags="partial_date", value=9.0
    ),
    "a year is overlapped by a month of it, and the month wins": out(
        NO, a1c(9.0, "2026", id="a"), a1c(6.8, "2026-03", id="b"), flags="partial_date", value=6.8
    ),
    "a second coding under IFCC does not make a percent a conflict": out(
        YES, a1c(7.8) | {"code": codings((LOINC, "4548-4"), (LOINC, "718-7"))}, value=7.8
    ),
    "a dataAbsentReason is no newer result": out(
        NO, a1c(id="none", dataAbsentReason=concept("urn:x", "error")), OLD, flags=None, value=6.5
    ),
}

TABLE = STATUSES | PENDING | DATES | WINDOW | SAME_DAY | NEWER


@pytest.fixture(scope="module")
def decided() -> dict[str, ByRule]:
    return decide_together(TABLE)


@pytest.mark.parametrize("sentence", TABLE)
def test_the_newest_usable_result_speaks(sentence: str, decided: dict[str, ByRule]) -> None:
    expected = TABLE[sentence]
    check(decided[sentence][expected.rule], expected)
