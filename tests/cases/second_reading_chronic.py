"""A second, independent answer to CHR-MULTI for the people of `population.with_conditions`: the
outcome, the groups that count and those that are possible. Plain loops over raw JSON, written from the
specification and not from the code."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import NamedTuple

from tests.cases.fhir_json import Json
from tests.cases.harness import CANNOT_TELL, NO, YES
from tests.cases.population import TODAY
from tests.cases.second_reading_a1c import Date, months_before, of

GROUPS = {
    "E11.9": "diabetes",
    "44054006": "diabetes",
    "I10": "hypertension",
    "59621000": "hypertension",
    "J44.9": "copd",
    "13645005": "copd",
    "I25.10": "ischemic_heart_disease",
    "G30.9": "dementia",
    "F03.90": "dementia",
    "E78.5": "hyperlipidemia",
    "C61": "cancer_prostate",
    "I11.0": "hypertension heart_failure",
    "E11.22": "chronic_kidney_disease diabetes",
    "D50.9": "anemia",
    "I21.4": "ischemic_heart_disease",
    "I63.9": "stroke_tia",
}
CONDITIONAL, EVENTS = {"D50.9", "I21.4", "I63.9"}, {"I21.4", "I63.9"}
ACTIVE = {"active", "recurrence", "relapse"}


class Seen(NamedTuple):
    """One Condition that is neither over nor refuted. `recorded`: its day; `since`: what it began on;
    `place`: class of its encounter; `unsure`: nobody says whether it is active."""

    code: str
    listed: bool
    unsure: bool
    status: str
    recorded: dt.date | None
    since: Date | None
    place: str


def word(resource: Json, element: str) -> str:
    held = resource.get(element, {})
    first = held[0] if isinstance(held, list) else held
    return str(first["coding"][0]["code"]) if first else ""


def answer(world: list[Json]) -> tuple[str, list[str], list[str]]:
    by_group: dict[str, list[Seen]] = defaultdict(list)
    possible: set[str] = set()
    places = {e["id"]: e for e in of(world, "Encounter") if e["status"] == "finished"}
    for resource in of(world, "Condition"):
        groups = GROUPS.get(word(resource, "code"), "").split()
        if not groups or is_gone(resource):
            continue
        possible.update(groups)
        doubtful = word(resource, "verificationStatus") not in ("", "confirmed")
        if not doubtful and word(resource, "clinicalStatus") != "unknown":
            for group in groups:
                by_group[group].append(look(resource, places))
    counted = {group for group, held in by_group.items() if counts(held)}
    persisting = {group for group, held in by_group.items() if any(map(persists, held))}
    enough = YES if len(counted) > 1 else CANNOT_TELL if len(counted | persisting) > 1 else NO
    return enough, sorted(counted), sorted(possible - counted)


def is_gone(resource: Json) -> bool:
    clinical = word(resource, "clinicalStatus")
    dates = [resource[name] for name in ("onsetDateTime", "recordedDate") if name in resource]
    return (
        word(resource, "verificationStatus") in ("refuted", "entered-in-error")
        or clinical in ("resolved", "inactive")
        or (clinical == "remission" and word(resource, "code") != "C61")
        or any(Date(text).low > TODAY + dt.timedelta(days=1) for text in dates)
        or "abatementString" in resource
        or ("abatementDateTime" in resource and Date(resource["abatementDateTime"]).high <= TODAY)
    )


def look(resource: Json, places: dict[str, Json]) -> Seen:
    place = places.get(resource.get("encounter", {}).get("reference", "").rpartition("/")[2])
    start = place["period"]["start"] if place else None
    recorded = resource.get("recordedDate") or start
    since = resource.get("onsetDateTime") or recorded
    listed = word(resource, "category") in ("problem-list-item", "health-concern")
    clinical = word(resource, "clinicalStatus")
    ending = resource.get("abatementDateTime")
    vague = ending is not None and Date(ending).low <= TODAY
    return Seen(
        word(resource, "code"),
        listed,
        vague or (listed and not clinical),
        clinical,
        Date(recorded).low if recorded else None,
        Date(since) if since else None,
        place["class"]["code"] if place else "",
    )


def counts(held: list[Seen]) -> bool:
    sure = [one for one in held if not one.unsure]
    return regular([o for o in sure if o.code not in CONDITIONAL]) or conditional(
        [o for o in sure if o.code in CONDITIONAL]
    )


def regular(held: list[Seen]) -> bool:
    recent = [one for one in held if not one.listed and is_recent(one, 24)]
    return (
        any(one.listed for one in held)
        or len({one.recorded for one in recent}) > 1
        or any(one.place in ("IMP", "ACUTE", "HH") for one in recent)
    )


def conditional(held: list[Seen]) -> bool:
    days = [one.recorded for one in held if one.recorded and is_recent(one, 24)]
    events = [one for one in held if one.code in EVENTS and is_recent(one, 12)]
    return (
        any(one.listed and one.status in ACTIVE and is_old(one) for one in held)
        or (len(days) > 1 and (max(days) - min(days)).days >= 30)
        or any(one.place in ("IMP", "ACUTE") for one in events)
    )


def persists(one: Seen) -> bool:
    if one.code in CONDITIONAL:
        return False
    return one.unsure or (not one.listed and one.status in ACTIVE and is_old(one) is not False)


def is_recent(one: Seen, months: int) -> bool:
    return one.recorded is not None and one.recorded >= months_before(TODAY, months)


def is_old(one: Seen) -> bool | None:
    """Twelve months or more; None where a year leaves that open."""
    if one.since is None:
        return False
    line = months_before(TODAY, 12)
    return True if min(one.since.high, TODAY) <= line else False if one.since.low > line else None
