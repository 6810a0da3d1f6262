"""What each kind of user may do, by the type of `fhirUser`."""

from __future__ import annotations

# A person of the practice does everything; a patient, a relative or somebody of no known role looks.
ACCEPT, ACTIVATE, CLOSE, CARE, REFER, LIST = "accept", "activate", "close", "care", "refer", "list"
_ALL = frozenset({ACCEPT, ACTIVATE, CLOSE, CARE, REFER, LIST})
RIGHTS: dict[str, frozenset[str]] = {
    "Practitioner": _ALL,
    "PractitionerRole": _ALL,
    "Person": frozenset(),
    "Patient": frozenset(),
    "RelatedPerson": frozenset(),
}


def rights(user: str) -> frozenset[str]:
    """`user` is `Type/id`."""
    return RIGHTS.get(user.partition("/")[0], frozenset())


def may(user: str, right: str) -> bool:
    return right in rights(user)
