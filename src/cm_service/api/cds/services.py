"""The services that discovery names, and what each asks to be sent along (CDS Hooks 2.0.1, CH-1, CH-9)."""

from __future__ import annotations

from typing import NamedTuple

from cm_service.rules.value_sets import LOINC, codes_of

_PATIENT = "patient={{context.patientId}}"
_A1C = ",".join(sorted(f"{LOINC}|{code}" for system, code in codes_of("hba1c") if system == LOINC))


class Template(NamedTuple):
    """One prefetch key: the FHIR type that it brings, and the query."""

    type: str
    query: str


PATIENT, ENCOUNTER = "patient", "encounter"
_CHART = {
    PATIENT: Template("Patient", "Patient/{{context.patientId}}"),
    "conditions": Template("Condition", f"Condition?{_PATIENT}"),
    "encounters": Template("Encounter", f"Encounter?{_PATIENT}"),
    "hba1c": Template("Observation", f"Observation?{_PATIENT}&code={_A1C}"),
}


class Service(NamedTuple):
    id: str
    hook: str
    title: str
    description: str
    prefetch: dict[str, Template]


SERVICES = {
    service.id: service
    for service in (
        Service(
            "cm-patient-view",
            "patient-view",
            "Care management",
            "Is this patient a candidate for care management, or enrolled; by whom, and what is due",
            _CHART,
        ),
        Service(
            "cm-encounter-discharge",
            "encounter-discharge",
            "Transitional care",
            "The clock of transitional care that starts with this discharge",
            {**_CHART, ENCOUNTER: Template("Encounter", "Encounter/{{context.encounterId}}")},
        ),
        Service(
            "cm-appointment-book",
            "appointment-book",
            "Open needs before the visit",
            "What care management still needs, so that the visit can serve it",
            _CHART,
        ),
    )
}
