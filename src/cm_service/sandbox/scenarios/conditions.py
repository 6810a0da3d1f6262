"""People with none, one, two or many chronic conditions, told in every way an EMR knows."""

from __future__ import annotations

from cm_service.sandbox.scenarios.codes import ICD, SNOMED, coded, concept
from cm_service.sandbox.scenarios.kinds import scenario
from cm_service.sandbox.scenarios.person import Person

MULTI = "CHR-MULTI"
_STATUS = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


@scenario(share=14)
def well(p: Person) -> None:
    """Comes for check-ups only."""
    p.office_visit(90)


@scenario(share=6)
def one_condition(p: Person) -> None:
    """High blood pressure and nothing else."""
    p.problem(p.rng.choice(("I10", "E78.5", "J45.909")))


@scenario(MULTI, share=6)
def two_on_the_problem_list(p: Person) -> None:
    """Two entries, two diseases."""
    for code in p.rng.choice((("I10", "E78.5"), ("I10", "J44.9"), ("N18.30", "E78.5"))):
        p.problem(code)


@scenario(MULTI, share=2)
def two_in_two_code_systems(p: Person) -> None:
    """One entry in SNOMED CT, one in ICD-10-CM."""
    p.problem("59621000", system=SNOMED)
    p.problem("J44.9")


@scenario(MULTI, ages=(58, 64), share=4)
def many(p: Person) -> None:
    """Six chronic conditions."""
    for code in ("I10", "E78.5", "N18.30", "I50.22", "J44.9", "F33.1"):
        p.problem(code, years=p.rng.randint(2, 9))


@scenario(MULTI)
def two_from_one_code(p: Person) -> None:
    """One entry that names heart, kidney and pressure."""
    p.problem("I13.0")


@scenario(MULTI, share=2)
def seen_on_two_days(p: Person) -> None:
    """COPD is an encounter diagnosis of two office visits."""
    p.problem("I10")
    for days in (60, 190):
        p.diagnosis("J44.9", p.office_visit(days))


@scenario()
def seen_on_one_day(p: Person) -> None:
    """One office diagnosis is not enough."""
    p.problem("I10")
    p.diagnosis("J44.9", p.office_visit(150))


@scenario(MULTI)
def seen_during_a_stay(p: Person) -> None:
    """One diagnosis of a hospital stay is enough."""
    p.problem("I10")
    p.diagnosis("J44.9", p.stay(160, 155))


@scenario(undecided=(MULTI,), share=2)
def old_diagnoses_still_active(p: Person) -> None:
    """Each disease was written down once, years ago, and never closed."""
    for code, days in (("59621000", 1100), ("55822004", 1300)):
        encounter = p.office_visit(days)
        start = encounter["period"]["start"]
        p.diagnosis(code, encounter, system=SNOMED, onsetDateTime=start)
    p.diagnosis("73595000", p.office_visit(900), system=SNOMED)


@scenario()
def one_is_only_suspected(p: Person) -> None:
    """Heart failure is provisional."""
    p.problem("I10")
    p.problem("I50.9", verificationStatus=concept(_VERIFIED, "provisional"))


@scenario()
def one_was_refuted(p: Person) -> None:
    """COPD was ruled out."""
    p.problem("I10")
    p.problem("J44.9", verificationStatus=concept(_VERIFIED, "refuted"))


@scenario()
def one_is_resolved(p: Person) -> None:
    """Asthma is over."""
    p.problem("I10")
    p.problem("J45.909", clinicalStatus=concept(_STATUS, "resolved"), abatementDateTime=p.day(300))


@scenario()
def one_ended_but_says_active(p: Person) -> None:
    """Abated two years ago, clinical status still active."""
    p.problem("I10")
    p.problem("E78.5", abatementDateTime=p.day(700))


@scenario()
def one_is_history(p: Person) -> None:
    """A cancer of the past is not a second condition."""
    p.problem("I10")
    p.problem("Z85.3")


@scenario(ages=(78, 90))
def one_disease_with_two_codes(p: Person) -> None:
    """The ICD pair for dementia counts once."""
    p.problem("G30.9")
    p.problem("F02.80")


@scenario(share=2)
def second_one_in_words_only(p: Person) -> None:
    """Text without a code never counts."""
    p.problem("I10")
    p.condition({"text": "high cholesterol"}, "problem-list-item", onsetDateTime=p.day(900))


@scenario(MULTI)
def conflicting_codings(p: Person) -> None:
    """One entry coded as two diseases, and a clear one."""
    both = {"coding": [coded(SNOMED, "40930008"), coded(ICD, "I10")]}
    p.condition(both, "problem-list-item", onsetDateTime=p.day(800), recordedDate=p.day(800))
    p.problem("E78.5")


@scenario(MULTI)
def problem_list_twice_imported(p: Person) -> None:
    """Every entry stands there twice."""
    for code in ("I10", "I10", "E78.5", "E78.5"):
        p.problem(code)


@scenario(MULTI)
def onset_by_year(p: Person) -> None:
    """Since when is known to the year only."""
    for code in ("I25.10", "E78.5"):
        p.problem(code, onsetDateTime=p.day(2000)[:4])
