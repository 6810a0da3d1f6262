"""People who went to the emergency room."""

from __future__ import annotations

from cm_service.sandbox.scenarios.kinds import scenario
from cm_service.sandbox.scenarios.person import Person

FOLLOW_UP, OVERUSE, TCM = "ED-FU", "ED-OVERUSE", "DIS-TCM"


@scenario(FOLLOW_UP, share=4)
def one_visit(p: Person) -> None:
    """Sent home from the emergency room some days ago."""
    p.emergency(p.rng.randint(2, 5))


@scenario(FOLLOW_UP, "CHR-MULTI", share=2)
def one_visit_with_two_serious_conditions(p: Person) -> None:
    """COPD and heart failure: urgent."""
    p.problem("J44.9")
    p.problem("I50.22")
    p.emergency(3)


@scenario(FOLLOW_UP)
def left_the_emergency_room_against_advice(p: Person) -> None:
    """Did not wait for the end of treatment."""
    p.emergency(3, to="aadvice")


@scenario(share=2)
def seen_in_the_office_afterwards(p: Person) -> None:
    """Already followed up."""
    p.emergency(5)
    p.office_visit(2)


@scenario(TCM)
def back_to_the_emergency_room_after_discharge(p: Person) -> None:
    """Part of the transition that is already under way."""
    p.stay(14, 10)
    p.emergency(3)


@scenario(OVERUSE, share=3)
def frequent_visitor(p: Person) -> None:
    """Five visits in a year, the last one two months ago."""
    for days in (62, 110, 171, 240, 318):
        p.emergency(days)


@scenario(OVERUSE, FOLLOW_UP)
def frequent_visitor_again(p: Person) -> None:
    """Four visits in a year, the last one three days ago."""
    for days in (3, 95, 180, 260):
        p.emergency(days)


@scenario()
def three_visits(p: Person) -> None:
    """Not frequent yet: to be watched."""
    for days in (70, 150, 280):
        p.emergency(days)


@scenario()
def twice_on_one_day(p: Person) -> None:
    """Four visits on three days count as three."""
    p.emergency(80, hour=8)
    p.emergency(80, hour=17)
    p.emergency(150)
    p.emergency(290)


@scenario()
def long_ago(p: Person) -> None:
    """Visits of two years ago."""
    for days in (400, 430, 500, 640):
        p.emergency(days)
