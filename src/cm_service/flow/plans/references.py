"""References that the EMR can hold, and who gets the work.

What was not read from this EMR is named by identifier and display: newer servers refuse a
reference to something that they do not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from cm_service.flow.intents import Change
from cm_service.flow.plans.context import Night
from cm_service.flow.plans.sources import GONE, lost
from cm_service.rules.facts import CareTeamFact, Member

Reference = dict[str, Any]
# SNOMED CT "case manager" and "care coordinator", and the same role in the NUCC provider taxonomy.
_CARE_MANAGER = frozenset(
    {
        ("http://snomed.info/sct", "768832004"),
        ("http://snomed.info/sct", "768820003"),
        ("http://nucc.org/provider-taxonomy", "171M00000X"),
    }
)


def refer(night: Night, reference: str, display: str = "") -> Reference:
    """A reference to `Type/id` of this EMR, or to `system|value` where it has no such resource."""
    shown = {"display": display} if display else {}
    if night.emr.readable(reference):
        return {"reference": reference, **shown}
    system, bar, value = reference.rpartition("|")
    if bar:
        return {"identifier": {"system": system, "value": value}, "display": display or value}
    return _named(night, reference, display)


def _named(night: Night, reference: str, display: str) -> Reference:
    kind = reference.partition("/")[0]
    named = {"system": f"{night.emr.identifier_base}/id/emr-reference", "value": reference}
    return {"type": kind, "identifier": named, "display": display or reference}


def without_gone(night: Night, change: Change) -> Change:
    """What was deleted in the EMR since we referred to it is only named from now on: a strict server
    would refuse the whole resource, and a withdrawal with it. A person's elements stay as they are."""
    theirs = change.known.human if change.known else frozenset()
    resource = {
        name: value if name in theirs else _without_gone(night, value)
        for name, value in change.want.resource.items()
    }
    return msgspec.structs.replace(change, want=msgspec.structs.replace(change.want, resource=resource))


def _without_gone(night: Night, value: Any) -> Any:
    if isinstance(value, list):
        return [_without_gone(night, each) for each in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("reference")
    if isinstance(reference, str) and lost(night, reference) == GONE:
        return _named(night, reference, value.get("display", ""))
    return {name: _without_gone(night, each) for name, each in value.items()}


def held(night: Night, references: Iterable[str]) -> list[Reference]:
    """References that this EMR has, each once; the others are left out."""
    return [{"reference": one} for one in dict.fromkeys(references) if night.emr.readable(one)]


def patient(night: Night) -> Reference:
    return {"reference": f"Patient/{night.patient_id}"}


def device(night: Night) -> Reference:
    """The service itself: logical, since no EMR holds it."""
    named = {"system": f"{night.emr.identifier_base}/id/device", "value": "cm-service"}
    return {"type": "Device", "identifier": named, "display": "cm-service"}


def owner(night: Night, *, to_provider: bool) -> Reference:
    """Care manager of the care team, else the EMR's pool, else the practice: never nobody. What
    only a provider can do goes to the patient's own one, where the EMR has it."""
    if to_provider:
        for practitioner in night.view.patient.practitioners if night.view.patient else ():
            if night.emr.readable(practitioner):
                return {"reference": practitioner}
    for member in _care_managers(night):
        return refer(night, member.reference, member.display)
    for reference in (night.emr.owner, night.emr.practice):
        if reference:
            return refer(night, reference)
    pool = {"system": f"{night.emr.identifier_base}/id/organization", "value": "care-management"}
    return {"type": "Organization", "identifier": pool, "display": "Care management"}


def care_teams(night: Night) -> list[Reference]:
    return held(night, (f"CareTeam/{team.id}" for team in _teams(night)))


def contributors(night: Night) -> list[Reference]:
    return held(night, (member.reference for member in _care_managers(night)))


def _teams(night: Night) -> list[CareTeamFact]:
    return sorted(
        (team for team in night.view.of(CareTeamFact) if team.status == "active"), key=lambda team: team.id
    )


def _care_managers(night: Night) -> Iterator[Member]:
    for team in _teams(night):
        for member in team.members:
            codings = {(coding.system, coding.code) for role in member.roles for coding in role.codings}
            if member.reference and not codings.isdisjoint(_CARE_MANAGER):
                yield member
