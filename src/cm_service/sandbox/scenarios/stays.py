"""People who were in the hospital: where they went, and how untidily it was written down."""

from __future__ import annotations

from cm_service.sandbox.scenarios.codes import (
    DISPOSITION,
    PRIORITY,
    SNOMED,
    concept,
)
from cm_service.sandbox.scenarios.kinds import scenario
from cm_service.sandbox.scenarios.person import Person
from cm_service.sandbox.wire import Resource

TCM, AMA, SNF, READMIT = "DIS-TCM", "DIS-AMA", "DIS-SNF", "DIS-READMIT"
_SNF_TYPE = [concept(SNOMED, "449411000124106")]


def left_to(system: str, code: str) -> Resource:
    """Encounter.hospitalization with where the patient went."""
    return {"dischargeDisposition": concept(system, code)}


@scenario(TCM, share=6)
def went_home(p: Person) -> None:
    """Discharged home in the last days."""
    left = p.rng.randint(1, 5)
    p.stay(left + p.rng.randint(2, 6), left)


@scenario(TCM, ages=(66, 88), share=2)
def went_home_after_observation(p: Person) -> None:
    """Only observed, and sent home."""
    p.stay(4, 3, kind="OBSENC")


@scenario(TCM, share=2)
def emergency_then_observation_then_ward(p: Person) -> None:
    """Emergency room, observation, ward: one stay, no separate emergency visit."""
    hospital = {"reference": "Organization/hospital"}
    p.encounter("EMER", p.at(6, 18), p.at(6, 22), serviceProvider=hospital)
    p.encounter("OBSENC", p.at(6, 22), p.at(5, 10), serviceProvider=hospital)
    p.encounter(
        "IMP",
        p.at(5, 10),
        p.at(3, 15),
        serviceProvider=hospital,
        hospitalization=left_to(DISPOSITION, "home"),
    )


@scenario(AMA, share=2)
def left_against_advice(p: Person) -> None:
    """Walked out yesterday or the day before."""
    p.stay(4, p.rng.randint(1, 2), to="aadvice")


@scenario(SNF, ages=(72, 90), share=2)
def sent_to_skilled_nursing_unseen(p: Person) -> None:
    """Discharged to a skilled nursing facility that sends no data."""
    p.stay(9, 4, to="snf")


@scenario(SNF, ages=(72, 90), share=2)
def now_in_skilled_nursing(p: Person) -> None:
    """In the facility, whose stay is open."""
    p.stay(12, 6, to="snf")
    nursing = {"reference": "Organization/nursing"}
    p.encounter("NONAC", p.at(6, 17), None, type=_SNF_TYPE, serviceProvider=nursing)


@scenario(TCM, ages=(72, 90))
def home_from_skilled_nursing(p: Person) -> None:
    """Hospital, nursing facility, home: the clock starts at the last door."""
    p.stay(25, 20, to="snf")
    nursing = {"reference": "Organization/nursing"}
    home = left_to(DISPOSITION, "home")
    p.encounter(
        "NONAC",
        p.at(20, 17),
        p.at(3, 11),
        type=_SNF_TYPE,
        serviceProvider=nursing,
        hospitalization=home,
    )


@scenario(TCM)
def moved_to_another_hospital(p: Person) -> None:
    """Transferred, and home from there: one stay."""
    p.stay(8, 6, to="other-hcf")
    p.encounter(
        "ACUTE",
        p.at(6, 18),
        p.at(2, 13),
        serviceProvider={"reference": "Organization/hospital-2"},
        hospitalization=left_to(DISPOSITION, "home"),
    )


@scenario(undecided=(TCM,))
def moved_to_a_place_unseen(p: Person) -> None:
    """Transferred a week ago; nobody knows what came after."""
    p.stay(11, 8, to="other-hcf")


@scenario(ages=(70, 90))
def moved_into_long_term_care(p: Person) -> None:
    """Lives in a nursing facility now."""
    p.stay(8, 3, to="long")


@scenario(ages=(75, 92))
def died_in_the_hospital(p: Person) -> None:
    """Discharged as expired, and the Patient was never updated."""
    p.stay(6, 3, to="exp")


@scenario(READMIT, TCM, share=2)
def back_in_the_hospital_and_home_again(p: Person) -> None:
    """Home for a week, in again, and home again."""
    p.stay(18, 13)
    p.stay(6, 2)


@scenario(READMIT)
def back_in_the_hospital_now(p: Person) -> None:
    """Home for ten days, and in again since yesterday."""
    p.stay(15, 11)
    p.stay(1, None)


@scenario(TCM)
def came_back_as_planned(p: Person) -> None:
    """The second stay was elective: no readmission."""
    p.stay(18, 13)
    p.stay(6, 2, priority=concept(PRIORITY, "EL"))


@scenario(TCM)
def came_back_the_same_day(p: Person) -> None:
    """Home at noon, in again in the evening: one stay."""
    home = left_to(DISPOSITION, "home")
    p.encounter("IMP", p.at(8, 9), p.at(5, 12), hospitalization=home)
    p.encounter("IMP", p.at(5, 20), p.at(2, 12), hospitalization=home)


@scenario(share=2)
def still_in_the_hospital(p: Person) -> None:
    """Admitted three days ago."""
    p.stay(3, None)


@scenario(share=2)
def discharged_long_ago(p: Person) -> None:
    """Home for six weeks: history."""
    p.stay(48, 43)
