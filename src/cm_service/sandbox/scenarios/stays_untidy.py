"""People who were in the hospital, and whose stay was written down badly."""

from __future__ import annotations

from cm_service.sandbox.scenarios.codes import NUBC, NUBC_OLD, SNOMED, concept
from cm_service.sandbox.scenarios.kinds import scenario
from cm_service.sandbox.scenarios.person import Person
from cm_service.sandbox.scenarios.stays import AMA, TCM, left_to

_LOCAL_CLASSES = "https://sandbox.example/CodeSystem/class"


@scenario(TCM)
def went_home_late_in_the_evening(p: Person) -> None:
    """In Greenwich it was already the next day."""
    p.stay(6, None, period={"start": p.at(6, 9), "end": p.at(2, 22, 30)}, status="finished")


@scenario(TCM, share=2)
def disposition_missing(p: Person) -> None:
    """Nobody wrote down where the patient went."""
    p.stay(5, 2, to=None)


@scenario(TCM)
def disposition_in_an_old_system(p: Person) -> None:
    """Home, as the number 1 of an outdated code system."""
    p.stay(7, 3, to=None, hospitalization=left_to(NUBC_OLD, "1"))


@scenario(AMA)
def left_against_advice_by_number(p: Person) -> None:
    """The same, as a billing number."""
    p.stay(5, 2, to=None, hospitalization=left_to(NUBC, "07"))


@scenario(TCM, ages=(60, 62))
def declared_dead_by_mistake(p: Person) -> None:
    """Discharged as expired, but seen in the office a week later."""
    p.stay(14, 10, to="exp")
    p.office_visit(3)


@scenario(undecided=(TCM,))
def stay_never_closed(p: Person) -> None:
    """The stay has an end, but its status says that it goes on."""
    p.stay(7, 4, to=None, status="in-progress")


@scenario(undecided=(TCM,))
def stay_without_an_end(p: Person) -> None:
    """Finished, but nobody wrote when."""
    p.stay(6, None, status="finished")


@scenario()
def stay_was_cancelled(p: Person) -> None:
    """The admission never took place."""
    p.stay(5, 3, status="cancelled")


@scenario(TCM)
def class_known_by_its_type(p: Person) -> None:
    """The class is a local number; the type says hospital admission."""
    local = {"system": _LOCAL_CLASSES, "code": "3"}
    p.stay(6, 2, type=[concept(SNOMED, "32485007")])["class"] = local


@scenario()
def class_unmapped(p: Person) -> None:
    """A local class that nobody mapped, with a type in words only."""
    local = {"system": _LOCAL_CLASSES, "code": "17"}
    p.stay(6, 2, type=[{"text": "Bed on 4 West"}])["class"] = local


@scenario()
def pre_admission_only(p: Person) -> None:
    """Papers for a stay to come."""
    p.encounter("PRENC", p.at(2, 9), p.at(2, 10))
