"""Who is one person: a replaced Patient and its survivor are judged together, and apart again after
an un-merge. Works on patient ids and facts only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from cm_service.rules.facts import AnyFact, PatientFact
from cm_service.rules.parameters import Parameters
from cm_service.rules.view import Decline, PatientView

Facts = Mapping[str, AnyFact]


class Stale(NamedTuple):
    """What is held of these types is from an earlier night: of everybody, or of single patients."""

    types: frozenset[str] = frozenset()
    of_patients: Mapping[str, frozenset[str]] = {}

    def of(self, patient_ids: Iterable[str]) -> frozenset[str]:
        return self.types.union(*(self.of_patients.get(who, ()) for who in patient_ids))


class Surroundings(NamedTuple):
    """What all patients of one EMR share while they are judged: `unread` types were not read to
    their end in this run, `refused` ones the EMR does not give at all."""

    parameters: Parameters
    places: Mapping[str, AnyFact] = {}
    unread: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    stale: Stale = Stale()


def replaced_by(patient_id: str, facts: Facts) -> str | None:
    """The id that this Patient names as its survivor, "" if it is replaced and names none."""
    patient = facts.get(f"Patient/{patient_id}")
    return patient.replaced_by if isinstance(patient, PatientFact) else None


def survivor_of(patient_id: str, links: Mapping[str, str | None]) -> str:
    """Follow replaced-by links to their end, which may be one that is itself replaced by nobody knows
    whom; a ring of links has no survivor, so nobody moves."""
    seen = [patient_id]
    while following := links.get(seen[-1]):
        if following in seen:
            return patient_id
        seen.append(following)
    return seen[-1]


def without_survivor(records: Mapping[str, Facts]) -> frozenset[str]:
    """Who is replaced by somebody of whom there is no Patient resource: their facts are nobody's."""
    links = {who: replaced_by(who, facts) for who, facts in records.items()}
    ends = {who: survivor_of(who, links) for who, named in links.items() if named}
    return frozenset(who for who, end in ends.items() if f"Patient/{end}" not in records.get(end, {}))


def views(
    survivor: str,
    members: Mapping[str, Facts],
    *,
    around: Surroundings,
    declines: Mapping[str, Iterable[Decline]],
    holes: Mapping[str, Iterable[str]],
) -> Iterator[PatientView]:
    """One view per member that has a Patient resource. The survivor's holds the facts of all, and
    those filed under replaced ids count as its own; a replaced one is judged by its own."""
    for patient_id, own in members.items():
        facts = list(own.values())
        group = [patient_id]
        if patient_id == survivor:
            group = list(members)
            for other, theirs in members.items():
                if other != survivor:
                    facts.extend(fact for fact in theirs.values() if not isinstance(fact, PatientFact))
        view = PatientView(
            facts,
            parameters=around.parameters,
            declines=tuple(decline for member in group for decline in declines.get(member, ())),
            places=around.places,  # type: ignore[arg-type]
            unread=around.unread,
            refused=around.refused,
            holes=frozenset(kind for member in group for kind in holes.get(member, ())),
            stale=around.stale.of(group),
        )
        if view.patient is not None:
            yield view
