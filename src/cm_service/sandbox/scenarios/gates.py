"""People who must be left alone: the dead, the merged, hospice patients, refusals, children."""

from __future__ import annotations

from cm_service.sandbox.scenarios.codes import LOINC, SNOMED, concept
from cm_service.sandbox.scenarios.kinds import scenario
from cm_service.sandbox.scenarios.person import MRN, Person

MULTI = "CHR-MULTI"
_HOSPICE_CARE, _HOSPICE_ADMISSION = "385763009", "305336008"


def _two_conditions(p: Person) -> None:
    p.problem("I10")
    p.problem("E78.5")


def _opt_out(p: Person) -> None:
    """Consent points to its patient by `patient`, not by `subject`."""
    p.add(
        "Consent",
        patient=p.reference(),
        status="active",
        scope=concept("http://terminology.hl7.org/CodeSystem/consentscope", "treatment"),
        category=[concept(LOINC, "59284-0")],
        dateTime=p.at(40),
        policyRule={"text": "Offers of care management"},
        provision={"type": "deny"},
    )


@scenario(ages=(75, 90))
def dead(p: Person) -> None:
    """Died, no date known."""
    _two_conditions(p)
    p.patient["deceasedBoolean"] = True


@scenario(ages=(75, 90), share=2)
def dead_since(p: Person) -> None:
    """Died last month, a day after the discharge home."""
    _two_conditions(p)
    p.stay(29, 26)
    p.patient["deceasedDateTime"] = p.at(25, 4)


@scenario(undecided=(MULTI,))
def dead_in_the_future(p: Person) -> None:
    """The date of death is a typing error."""
    _two_conditions(p)
    p.patient["deceasedDateTime"] = p.day(-200)


@scenario()
def no_longer_a_patient(p: Person) -> None:
    """Moved away: inactive."""
    _two_conditions(p)
    p.patient["active"] = False


@scenario("A1C-OUT", share=2)
def merged(p: Person) -> None:
    """Two files of one person: the result lies in the old one, the diagnosis in the one that stays."""
    p.problem("E11.9")
    old = {**p.patient, "id": f"{p.id}-old", "active": False}
    old["identifier"] = [{"system": MRN, "value": f"{p.id}-old"}]
    old["link"] = [{"other": p.reference(), "type": "replaced-by"}]
    p.patient["link"] = [{"other": {"reference": f"Patient/{p.id}-old"}, "type": "replaces"}]
    p.resources.append(old)
    p.a1c(8.8, 20)["subject"] = {"reference": f"Patient/{p.id}-old"}


@scenario(ages=(70, 90), share=2)
def hospice_ordered(p: Person) -> None:
    """An active order for hospice care."""
    _two_conditions(p)
    p.hospice("ServiceRequest", _HOSPICE_CARE, status="active", intent="order", authoredOn=p.at(30))


@scenario(ages=(70, 90))
def hospice_begun(p: Person) -> None:
    """Admitted to hospice at home, which is going on."""
    _two_conditions(p)
    p.encounter("HH", p.at(45), None, type=[concept(SNOMED, _HOSPICE_ADMISSION)])


@scenario(ages=(70, 90))
def home_to_hospice(p: Person) -> None:
    """Discharged to hospice: no transition call."""
    p.stay(9, 4, to="hosp")


@scenario(ages=(70, 88))
def hospice_procedure(p: Person) -> None:
    """Hospice care written down as a procedure."""
    _two_conditions(p)
    period = {"start": p.at(60), "end": p.at(5)}
    p.hospice("Procedure", _HOSPICE_CARE, status="completed", performedPeriod=period)


@scenario(share=2)
def said_no(p: Person) -> None:
    """Two chronic conditions, and a Consent that forbids offers."""
    _two_conditions(p)
    _opt_out(p)


@scenario("DIS-TCM")
def said_no_and_was_discharged(p: Person) -> None:
    """A refusal of offers does not stop the call after a discharge."""
    _two_conditions(p)
    _opt_out(p)
    p.stay(6, 2)


@scenario(ages=(4, 15), share=4)
def child(p: Person) -> None:
    """Asthma and an emergency visit, but the rules here are for adults."""
    p.problem("J45.909", years=1)
    p.emergency(3)


@scenario(undecided=("A1C-OUT",))
def birth_date_missing(p: Person) -> None:
    """Nobody knows how old this patient is."""
    p.problem("E11.9")
    p.a1c(8.1, 20)
    del p.patient["birthDate"]


@scenario("A1C-OUT", ages=(40, 55))
def birth_year_only(p: Person) -> None:
    """Born in a year: old enough, whatever the day."""
    p.problem("E11.9")
    p.a1c(8.1, 20)
    p.patient["birthDate"] = p.patient["birthDate"][:4]
