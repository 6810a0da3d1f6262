"""People whose files are as untidy as real ones, and people whom somebody else already cares for."""

from __future__ import annotations

from cm_service.sandbox.scenarios.codes import SNOMED, concept
from cm_service.sandbox.scenarios.kinds import scenario
from cm_service.sandbox.scenarios.person import Person

OUT, MULTI = "A1C-OUT", "CHR-MULTI"
_ELSEWHERE = "https://other-program.example/id"


@scenario(OUT, share=2)
def no_meta(p: Person) -> None:
    """Nothing of this patient says its version or when it was changed."""
    p.problem("E11.9")
    p.a1c(8.2, 20)
    p.without_meta = True


@scenario(OUT, share=2)
def no_offset(p: Person) -> None:
    """Times without an offset, which FHIR forbids."""
    p.problem("E11.9")
    p.a1c(7.7, 20, effectiveDateTime=f"{p.day(20)}T08:30:00", issued=None)


@scenario(OUT)
def versioned_references(p: Person) -> None:
    """References that name a version of the patient."""
    for resource in (p.problem("E11.9"), p.a1c(8.0, 30)):
        resource["subject"] = {"reference": f"Patient/{p.id}/_history/1"}


@scenario(OUT)
def undated_result_with_issue_date(p: Person) -> None:
    """When the blood was drawn is unknown, when the result came is not."""
    p.problem("E11.9")
    p.a1c(7.9, 33, effectiveDateTime=None)


@scenario(OUT)
def dated_by_its_specimen(p: Person) -> None:
    """Only the specimen says when the blood was drawn."""
    p.problem("E11.9")
    specimen = p.of("Specimen", status="available", collection={"collectedDateTime": p.at(19, 7)})
    p.a1c(8.5, 18, effectiveDateTime=None, specimen={"reference": f"Specimen/{specimen['id']}"})


@scenario(undecided=(MULTI,))
def clinical_status_missing(p: Person) -> None:
    """A problem list entry that does not say whether it is active."""
    p.problem("I10")
    del p.problem("E78.5")["clinicalStatus"]


@scenario()
def local_code_only(p: Person) -> None:
    """A house code that nobody mapped."""
    p.problem("DM2", system="https://sandbox.example/CodeSystem/problems")
    p.problem("I10")


@scenario(OUT)
def extensions_everywhere(p: Person) -> None:
    """Elements that nobody asked for must not be in the way."""
    p.problem("E11.9")
    result = p.a1c(8.1, 24)
    result["extension"] = [{"url": "https://sandbox.example/x", "valueString": "instrument 7"}]
    result["contained"] = [{"resourceType": "Device", "id": "meter"}]
    result["device"] = {"reference": "#meter"}
    result["note"] = [{"text": "hemolysed? no"}]


@scenario(MULTI, share=2)
def cared_for_elsewhere(p: Person) -> None:
    """Another program's plan, goal and task: not ours to touch."""
    p.problem("I10")
    p.problem("N18.30")
    goal = p.of(
        "Goal",
        identifier=[{"system": _ELSEWHERE, "value": f"goal-{p.id}"}],
        lifecycleStatus="active",
        description={"text": "Walk twenty minutes a day"},
    )
    plan = p.of(
        "CarePlan",
        identifier=[{"system": _ELSEWHERE, "value": f"plan-{p.id}"}],
        status="active",
        intent="plan",
        category=[concept(SNOMED, "734163000")],
        title="Kidney clinic plan",
        period={"start": p.day(200)},
        goal=[{"reference": f"Goal/{goal['id']}"}],
    )
    p.add(
        "Task",
        identifier=[{"system": _ELSEWHERE, "value": f"task-{p.id}"}],
        basedOn=[{"reference": f"CarePlan/{plan['id']}"}],
        status="requested",
        intent="order",
        description="Kidney clinic: yearly check",
        **{"for": p.reference()},
    )


@scenario(OUT, share=2)
def has_an_appointment(p: Person) -> None:
    """Already booked for a visit next week."""
    p.problem("E11.9")
    p.a1c(8.4, 15)
    p.add(
        "Appointment",
        status="booked",
        start=p.at(-7, 9),
        end=p.at(-7, 9, 30),
        participant=[
            {"actor": p.reference(), "status": "accepted"},
            {"actor": {"reference": "Practitioner/doctor-1"}, "status": "accepted"},
        ],
    )
