"""Random untidy patients as raw FHIR: what feeds really send, with a fixed seed."""

from __future__ import annotations

import datetime as dt
from random import Random
from zoneinfo import ZoneInfo

from tests.cases.fhir_json import (
    ICD,
    SNOMED,
    Json,
    a1c,
    below,
    between,
    concept,
    condition,
    diabetes,
    diagnosis,
    encounter,
    goal,
    patient,
)

ZONE = ZoneInfo("America/Detroit")
TODAY = dt.date(2026, 11, 22)
ABSENT = concept("http://terminology.hl7.org/CodeSystem/data-absent-reason", "error")
ZONES = (ZONE, dt.UTC, ZoneInfo("Asia/Tokyo"))
LINES = (14, 15, 28, 29, 30, 31, 92, 93, 183, 184, 364, 365, 366, 729, 730, 731)
STATUSES = "final amended corrected registered preliminary cancelled entered-in-error unknown".split()

ICD_CODES = "E11.9 I10 J44.9 I25.10 G30.9 F03.90 E78.5 I11.0 E11.22 C61 D50.9 I21.4 I63.9 H26.9 Z85.3 R73.03"
SNOMED_CODES = "44054006 59621000 13645005"
CODES = [(ICD, c) for c in ICD_CODES.split()] + [(SNOMED, c) for c in SNOMED_CODES.split()]


def day(back: int) -> str:
    return (TODAY - dt.timedelta(days=back)).isoformat()


def some_back(rng: Random) -> int:
    return rng.choice([rng.randint(0, 30), rng.randint(0, 200), rng.randint(0, 800), rng.choice(LINES)])


def some_date(rng: Random) -> str | None:
    """A day, an instant, a time without an offset, a month, a year, the future, or nothing."""
    on = TODAY - dt.timedelta(days=some_back(rng))
    clock = dt.time(rng.randint(0, 23), rng.choice([0, 30]))
    instant = dt.datetime.combine(on, clock, tzinfo=rng.choice(ZONES)).isoformat()
    future = (TODAY + dt.timedelta(days=rng.randint(3, 40))).isoformat()
    kinds = [on.isoformat(), instant, f"{on}T10:00:00", on.strftime("%Y-%m"), on.strftime("%Y"), future, None]
    return rng.choices(kinds, [45, 30, 5, 10, 5, 2, 3])[0]


def some_result(number: int, rng: Random, days: list[str | None]) -> Json:
    on = rng.choice(days) if days and rng.random() < 0.35 else some_date(rng)
    days.append(on)
    more: Json = {"id": f"o{number}", "status": rng.choices(STATUSES, [50, 8, 8, 7, 7, 3, 3, 3])[0]}
    if rng.random() < 0.3:
        more["issued"] = f"{day(rng.randint(0, 300))}T12:00:00-05:00"
    percent = round(
        rng.choice([rng.uniform(5.5, 9.8), rng.choice([6.4, 6.5, 7.0, 7.1, 7.5, 7.6, 8.0, 8.1])]), 1
    )
    ifcc = a1c(rng.randint(38, 90), on, code=rng.choice(["59261-8", "4548-4"]), unit="mmol/mol", **more)
    kinds = [
        a1c(percent, on, **more),
        ifcc,
        a1c(percent, on, comparator=rng.choice(["<", "<=", ">", ">="]), **more),
        a1c(percent, on, unit="mg/dL", **more),
        a1c(None, on, dataAbsentReason=ABSENT, **more),
        a1c(percent, on, dataAbsentReason=ABSENT, **more),
        a1c(None, on, valueCodeableConcept={"text": "High"}, **more),
        a1c(percent, on, unit=None, **more),
        a1c(40, on, **more),
    ]
    return rng.choices(kinds, [55, 15, 10, 4, 4, 3, 3, 3, 3])[0]


def with_results(rng: Random) -> list[Json]:
    """A patient of any age, with some kind of diabetes or none, and up to five results."""
    births = ["1976-05-14", "1950-03-03", "1961", "1961-11", "2008", None, "1940-01-01"]
    kinds: list[list[Json]] = [
        [diabetes()],
        [],
        [diagnosis("E11.9", "2019-01-01", "dm", clinical="active")],
        [condition("E11.A", "dm")],
        [diabetes(verification="provisional")],
    ]
    burdens = [[], [condition("I10"), condition("E78.5"), condition("M17.0")], [condition("N18.6")]]
    goals = [below(8.0), below(8.0, "<="), below(6.5, None), between(7.0, 8.0), below(8.0, ">")]
    world = [patient(birthDate=rng.choices(births, [50, 15, 6, 3, 3, 4, 5])[0])]
    world += rng.choices(kinds, [70, 15, 6, 5, 4])[0] + rng.choices(burdens, [85, 10, 5])[0]
    days: list[str | None] = []
    world += [some_result(n, rng, days) for n in range(rng.choice([0, 1, 1, 2, 2, 3, 4, 5]))]
    if rng.random() < 0.2:
        world.append(goal(rng.choice(goals), lifecycleStatus=rng.choice(["active", "accepted", "proposed"])))
    return world


def some_condition(number: int, rng: Random, *, palette: list[tuple[str, str]], visits: list[str]) -> Json:
    system, code = rng.choice(palette)
    backs = [rng.randint(0, 90), rng.randint(0, 800), rng.randint(300, 2500), rng.choice(LINES)]
    onset = rng.choices(
        [day(rng.choice(backs)), rng.choice(["2019", "2024", "2025", "2026"]), None], [30, 5, 65]
    )[0]
    dates: Json = {
        "recordedDate": rng.choices([day(rng.choice(backs)), None, "2027-01-01"], [78, 20, 2])[0],
        "onsetDateTime": onset,
    }
    ends: list[Json] = [
        {},
        {"abatementDateTime": day(rng.randint(1, 900))},
        {"abatementDateTime": "2027-03-01"},
        {"abatementDateTime": rng.choice(["2026", "2026-11", "2025"])},
        {"abatementString": "gone"},
    ]
    dates |= rng.choices(ends, [86, 6, 3, 3, 2])[0]
    clinical = ["active", "recurrence", "resolved", "inactive", "remission", "unknown", None]
    verification = ["confirmed", None, "provisional", "differential", "refuted", "entered-in-error"]
    categories = ["problem-list-item", "encounter-diagnosis", "health-concern", None]
    return condition(
        code,
        f"c{number}",
        system=system,
        category=rng.choices(categories, [35, 45, 5, 15])[0],
        clinical=rng.choices(clinical, [60, 5, 7, 5, 5, 3, 15])[0],
        verification=rng.choices(verification, [65, 20, 4, 4, 4, 3])[0],
        encounter=rng.choice(visits) if visits and rng.random() < 0.6 else rng.choice(["missing", None]),
        **dates,
    )


def with_conditions(rng: Random) -> list[Json]:
    """A patient with up to three encounters, no two on neighbouring days, and up to six Conditions."""
    classes = ["AMB", "IMP", "HH", "EMER", "OBSENC", "VR", "ACUTE"]
    world = [patient()]
    for number, back in enumerate(sorted(rng.sample(range(5, 1500, 5), rng.randint(0, 3)))):
        kind = rng.choices(classes, [40, 15, 8, 8, 8, 8, 5])[0]
        status = rng.choices(["finished", "entered-in-error", "cancelled"], [90, 5, 5])[0]
        hours = f"{day(back)}T10:00-05:00", f"{day(back)}T11:00-05:00"
        world.append(encounter(f"e{number}", kind, *hours, disposition="home", status=status))
    visits = [e["id"] for e in world[1:]]
    palette = rng.sample(CODES, rng.randint(1, 4))
    count = rng.choice([0, 1, 2, 2, 3, 4, 5, 6])
    return world + [some_condition(n, rng, palette=palette, visits=visits) for n in range(count)]
