"""One synthetic patient in the making: helpers that add FHIR R4 resources with dates relative to today."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any, NamedTuple

from cm_service.sandbox.scenarios.codes import ACT, DISPOSITION, ICD, LOINC, SNOMED, UCUM, coded, concept
from cm_service.sandbox.wire import Resource

MRN = "https://sandbox.example/id/mrn"
VISIT = "https://sandbox.example/id/visit"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
_LABORATORY = concept("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory")


class Today(NamedTuple):
    """The moment that all dates of the panel are counted from, in the practice's zone."""

    as_of: dt.datetime
    zone: dt.tzinfo

    @property
    def date(self) -> dt.date:
        return self.as_of.astimezone(self.zone).date()


class Person:
    """Collects the resources of one patient. `days` always means days before today."""

    def __init__(self, id_: str, today: Today, rng: random.Random) -> None:
        self.id = id_
        self.today = today
        self.rng = rng
        self.resources: list[Resource] = []
        self.without_meta = False
        self._counts: dict[str, int] = {}

    @property
    def patient(self) -> Resource:
        return self.resources[0]

    def reference(self) -> Resource:
        return {"reference": f"Patient/{self.id}"}

    def day(self, days: float) -> str:
        return (self.today.date - dt.timedelta(days=days)).isoformat()

    def month(self, days: float) -> str:
        """The month that lay `days` ago, without its day."""
        return self.day(days)[:7]

    def at(self, days: float, hour: int = 10, minute: int = 0) -> str:
        """A time of day with the offset that the practice's zone has on that day."""
        day = self.today.date - dt.timedelta(days=days)
        return dt.datetime.combine(day, dt.time(hour, minute), tzinfo=self.today.zone).isoformat()

    def add(self, type_: str, /, **elements: Any) -> Resource:
        """A resource with the next id of its type; the caller names the subject where there is one."""
        number = self._counts[type_] = self._counts.get(type_, 0) + 1
        resource = {"resourceType": type_, "id": f"{self.id}-{type_.lower()}-{number}", **elements}
        self.resources.append(resource)
        return resource

    def of(self, type_: str, /, **elements: Any) -> Resource:
        """A resource whose subject is this patient."""
        return self.add(type_, subject=self.reference(), **elements)

    # Conditions

    def problem(self, code: str, *, system: str = ICD, years: float = 4, **elements: Any) -> Resource:
        """An active, confirmed entry of the problem list."""
        since = self.day(365 * years)
        dated = {"onsetDateTime": since, "recordedDate": since, **elements}
        return self.condition(concept(system, code), "problem-list-item", **dated)

    def diagnosis(self, code: str, encounter: Resource, *, system: str = ICD, **elements: Any) -> Resource:
        """What an encounter was about: dated by it, never entered on the problem list."""
        seen = {"reference": f"Encounter/{encounter['id']}"}
        made = {"recordedDate": encounter["period"]["start"], "encounter": seen, **elements}
        return self.condition(concept(system, code), "encounter-diagnosis", **made)

    def condition(self, code: Resource, category: str, **elements: Any) -> Resource:
        usual = {
            "clinicalStatus": concept(_CLINICAL, "active"),
            "verificationStatus": concept(_VERIFIED, "confirmed"),
            "category": [concept(_CONDITION_CATEGORY, category)],
            "code": code,
        }
        return self.of("Condition", **{**usual, **elements})

    # HbA1c

    def a1c(self, value: float | None, days: float, *, unit: str = "%", **elements: Any) -> Resource:
        """A laboratory HbA1c; elements given replace the usual ones, None takes one away."""
        made: Resource = {
            "status": "final",
            "category": [_LABORATORY],
            "code": concept(LOINC, "4548-4" if unit == "%" else "59261-8"),
            "effectiveDateTime": self.at(days, 8, 15),
            "issued": self.at(days, 17, 40),
        }
        if value is not None:
            quantity = {"value": value, "unit": unit, "system": UCUM, "code": unit}
            made["valueQuantity"] = quantity
        made |= elements
        return self.of("Observation", **{name: value for name, value in made.items() if value is not None})

    def a1c_goal(self, comparator: str, value: float, **elements: Any) -> Resource:
        """The patient's own HbA1c target, agreed with the clinician."""
        amount = {"value": value, "comparator": comparator, "unit": "%", "system": UCUM, "code": "%"}
        made = {
            "lifecycleStatus": "active",
            "description": {"text": f"HbA1c {comparator} {value} %"},
            "startDate": self.day(100),
            "target": [{"measure": concept(LOINC, "4548-4"), "detailQuantity": amount}],
        }
        return self.of("Goal", **{**made, **elements})

    # Encounters

    def encounter(self, kind: str, start: str, end: str | None, **elements: Any) -> Resource:
        """`kind` is a code of v3-ActCode; without an end it is still going on."""
        visit = f"{self.id}-{self._counts.get('Encounter', 0) + 1}"
        made = {
            "identifier": [{"system": VISIT, "value": visit}],
            "status": "finished" if end else "in-progress",
            "class": coded(ACT, kind),
            "period": {"start": start, "end": end} if end else {"start": start},
        }
        return self.of("Encounter", **{**made, **elements})

    def office_visit(self, days: float, *, minutes: int = 20, kind: str = "AMB", **elements: Any) -> Resource:
        hour = self.rng.choice((9, 10, 11, 14, 15))
        made = {"serviceProvider": {"reference": "Organization/practice"}, **elements}
        return self.encounter(kind, self.at(days, hour), self.at(days, hour, minutes), **made)

    def stay(
        self, came: float, left: float | None, *, to: str | None = "home", kind: str = "IMP", **elements: Any
    ) -> Resource:
        """In the hospital from `came` to `left` days ago; `to` is a code of discharge-disposition."""
        made: Resource = {"serviceProvider": {"reference": "Organization/hospital"}}
        if left is not None and to is not None:
            made["hospitalization"] = {"dischargeDisposition": concept(DISPOSITION, to)}
        end = None if left is None else self.at(left, 14)
        return self.encounter(kind, self.at(came, 16), end, **{**made, **elements})

    def emergency(self, days: float, *, hour: int = 11, to: str | None = "home", **elements: Any) -> Resource:
        """An emergency visit of three hours on one day."""
        made: Resource = {"serviceProvider": {"reference": "Organization/hospital"}}
        if to is not None:
            made["hospitalization"] = {"dischargeDisposition": concept(DISPOSITION, to)}
        return self.encounter("EMER", self.at(days, hour), self.at(days, hour + 3), **{**made, **elements})

    def hospice(self, type_: str, code: str, **elements: Any) -> Resource:
        """An order or a service whose code says hospice."""
        return self.of(type_, code=concept(SNOMED, code), **elements)
