"""Raw FHIR R4 JSON by hand, with keyword overrides: `None` takes an element away."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

LOINC = "http://loinc.org"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
THO = "http://terminology.hl7.org/CodeSystem/"
US_CORE_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/condition-category"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"


def _with(resource: Json, overrides: Json) -> Json:
    return {k: v for k, v in (resource | overrides).items() if v is not None}


def concept(system: str, code: str, **more: Any) -> Json:
    return {"coding": [{"system": system, "code": code, **more}]}


def codings(*pairs: tuple[str, str], **more: Any) -> Json:
    return {"coding": [{"system": system, "code": code} for system, code in pairs], **more}


def patient(id: str = "p1", **overrides: Any) -> Json:
    """Fifty years old at the cases' `as_of`."""
    base = {
        "resourceType": "Patient",
        "id": id,
        "active": True,
        "gender": "female",
        "birthDate": "1976-05-14",
    }
    return _with(base, overrides)


def quantity(value: float, unit: str | None = "%", **more: Any) -> Json:
    """UCUM code and unit text alike; `unit=None` leaves the number bare."""
    coded = {} if unit is None else {"unit": unit, "system": UCUM, "code": unit}
    return {"value": value, **coded, **more}


def a1c(
    value: float | None = None,
    on: str | None = "2026-11-10",
    *,
    id: str = "a1c",
    code: str = "4548-4",
    unit: str | None = "%",
    comparator: str | None = None,
    **overrides: Any,
) -> Json:
    """`on` is effectiveDateTime; `value` None means no valueQuantity."""
    base: Json = {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "code": concept(LOINC, code),
        "effectiveDateTime": on,
    }
    if value is not None:
        more = {} if comparator is None else {"comparator": comparator}
        base["valueQuantity"] = quantity(value, unit, **more)
    return _with(base, overrides)


def component(value: float, unit: str | None = "%", code: str = "4548-4") -> Json:
    return {"code": concept(LOINC, code), "valueQuantity": quantity(value, unit)}


def condition(
    code: str,
    id: str | None = None,
    *,
    system: str = ICD,
    category: str | None = "problem-list-item",
    clinical: str | None = "active",
    verification: str | None = "confirmed",
    encounter: str | None = None,
    **overrides: Any,
) -> Json:
    """A problem-list entry, active and confirmed, recorded 2020-03-01."""
    base: Json = {
        "resourceType": "Condition",
        "id": id or f"c-{code.replace('.', '-')}",
        "subject": {"reference": "Patient/p1"},
        "code": concept(system, code),
        "recordedDate": "2020-03-01",
    }
    if category is not None:
        where = US_CORE_CATEGORY if category == "health-concern" else f"{THO}condition-category"
        base["category"] = [concept(where, category)]
    if clinical is not None:
        base["clinicalStatus"] = concept(f"{THO}condition-clinical", clinical)
    if verification is not None:
        base["verificationStatus"] = concept(f"{THO}condition-ver-status", verification)
    if encounter is not None:
        base["encounter"] = {"reference": f"Encounter/{encounter}"}
    return _with(base, overrides)


def diagnosis(code: str, on: str | None, id: str, **overrides: Any) -> Json:
    """An encounter-diagnosis recorded `on`, without a clinical status unless one is given."""
    more: Json = {"category": "encounter-diagnosis", "clinical": None, "recordedDate": on}
    return condition(code, id, **(more | overrides))


def diabetes(**overrides: Any) -> Json:
    return condition("E11.9", "dm", **overrides)


def encounter(
    id: str,
    class_code: str,
    start: str | None,
    end: str | None = None,
    *,
    disposition: str | None = None,
    **overrides: Any,
) -> Json:
    """Finished; `disposition` is an HL7 discharge-disposition code."""
    period = {key: value for key, value in (("start", start), ("end", end)) if value is not None}
    base: Json = {
        "resourceType": "Encounter",
        "id": id,
        "status": "finished",
        "class": {"system": f"{THO}v3-ActCode", "code": class_code},
        "subject": {"reference": "Patient/p1"},
        "period": period,
    }
    if disposition is not None:
        where = concept(f"{THO}discharge-disposition", disposition)
        base["hospitalization"] = {"dischargeDisposition": where}
    return _with(base, overrides)


def goal(detail: Json, id: str = "g1", *, measure: str | None = "4548-4", **overrides: Any) -> Json:
    """An active Goal with one target; `detail` holds detail[x] and perhaps dueDate."""
    target = dict(detail)
    if measure is not None:
        target["measure"] = concept(LOINC, measure)
    base = {
        "resourceType": "Goal",
        "id": id,
        "lifecycleStatus": "active",
        "description": {"text": "HbA1c"},
        "subject": {"reference": "Patient/p1"},
        "startDate": "2026-06-01",
        "target": [target],
    }
    return _with(base, overrides)


def below(value: float, comparator: str | None = "<", unit: str | None = "%") -> Json:
    more = {} if comparator is None else {"comparator": comparator}
    return {"detailQuantity": quantity(value, unit, **more)}


def between(low: float | None, high: float | None, unit: str | None = "%") -> Json:
    ends = {"low": low, "high": high}
    return {"detailRange": {name: quantity(v, unit) for name, v in ends.items() if v is not None}}


def procedure(code: str, on: str, id: str, *, system: str = SNOMED, **overrides: Any) -> Json:
    base = {
        "resourceType": "Procedure",
        "id": id,
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "code": concept(system, code),
        "performedDateTime": on,
    }
    return _with(base, overrides)


def order(code: str, on: str | None, id: str, *, system: str = SNOMED, **overrides: Any) -> Json:
    base = {
        "resourceType": "ServiceRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "code": concept(system, code),
        "authoredOn": on,
    }
    return _with(base, overrides)


def consent(kind: str, on: str | None, id: str = "consent", **overrides: Any) -> Json:
    """`kind`: permit or deny, of the service's category 59284-0."""
    base = {
        "resourceType": "Consent",
        "id": id,
        "status": "active",
        "scope": concept(f"{THO}consentscope", "treatment"),
        "category": [concept(LOINC, "59284-0")],
        "patient": {"reference": "Patient/p1"},
        "dateTime": on,
        "provision": {"type": kind},
    }
    return _with(base, overrides)
