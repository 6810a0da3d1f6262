"""Facts as a test wants them: plain functions, sound by default, with keyword overrides."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from cm_service.rules.clock import Clock
from cm_service.rules.dates import When, parse_when
from cm_service.rules.facts import (
    AnyFact,
    Coding,
    Concept,
    ConditionFact,
    ConsentFact,
    EncounterFact,
    GoalFact,
    ObservationFact,
    PatientFact,
    ProcedureFact,
    Reading,
    ServiceRequestFact,
    Target,
)
from cm_service.rules.parameters import Parameters
from cm_service.rules.view import PatientView

ZONE = ZoneInfo("America/Detroit")
HOSPICE_CARE, FULL_CARE, ADMISSION = "385763009", "170935008", "305336008"  # SNOMED CT: signs of hospice
AS_OF = dt.datetime(2026, 11, 22, 15, 0, tzinfo=ZONE)
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"


def at(as_of: dt.datetime | str = AS_OF, zone: dt.tzinfo = ZONE) -> Clock:
    """A clock; text without an offset is local time."""
    moment = dt.datetime.fromisoformat(as_of) if isinstance(as_of, str) else as_of
    return Clock(moment if moment.tzinfo else moment.replace(tzinfo=zone), zone)


def when(text: str | None) -> When | None:
    return None if text is None else parse_when(text)


def coding(code: str, system: str = "", *, selected: bool = False) -> Coding:
    """A code of ICD-10-CM if it begins with a letter, of LOINC with a dash, else of SNOMED CT."""
    guess = ICD10CM if code[:1].isalpha() else LOINC if "-" in code else SNOMED
    return Coding(system or guess, code, "", selected)


def concept(*codes: str | Coding) -> Concept:
    return Concept(tuple(one if isinstance(one, Coding) else coding(one) for one in codes))


def patient(**changes: Any) -> PatientFact:
    """A living adult of 50 years."""
    return _make(PatientFact, {"id": "p", "birth": "1976-03-01", "active": True}, changes)


def condition(*codes: str | Coding, **changes: Any) -> ConditionFact:
    """An active, confirmed problem-list entry without dates."""
    usual = {
        "id": "-".join(one if isinstance(one, str) else one.code for one in codes),
        "code": concept(*codes),
        "clinical": "active",
        "verification": "confirmed",
        "categories": ("problem-list-item",),
    }
    return _make(ConditionFact, usual, changes)


def diagnosis(*codes: str | Coding, **changes: Any) -> ConditionFact:
    """An active, confirmed encounter diagnosis."""
    return condition(*codes, **{"categories": ("encounter-diagnosis",), **changes})


def encounter(word: str = "AMB", **changes: Any) -> EncounterFact:
    """A finished encounter of that v3-ActCode class; `type` and `disposition` may be plain codes."""
    usual: dict[str, Any] = {"id": "e", "status": "finished", "classes": (Coding(ACT_CODE, word),)}
    if "type" in changes:
        usual["types"] = (concept(changes.pop("type")),)
    if isinstance(changes.get("disposition"), str):
        changes["disposition"] = Concept((Coding(DISPOSITION, changes["disposition"]),))
    return _make(EncounterFact, usual, changes)


def order(code: str, **changes: Any) -> ServiceRequestFact:
    usual = {"id": "order", "code": concept(code), "status": "active", "intent": "order"}
    return _make(ServiceRequestFact, usual, changes)


def procedure(code: str, **changes: Any) -> ProcedureFact:
    return _make(ProcedureFact, {"id": "procedure", "code": concept(code), "status": "completed"}, changes)


def observation(code: str, **changes: Any) -> ObservationFact:
    usual = {"id": "observation", "code": concept(code), "status": "final"}
    return _make(ObservationFact, usual, changes)


def reading(text: str, **changes: Any) -> Reading:
    """An HbA1c value as the normaliser leaves it: `7.1`, `>14.0`, `54 mmol/mol`. A flag word
    (`unit_wrong`) is a value that cannot be used, and an empty text no result at all."""
    found = re.fullmatch(r"([<>]=?)?([\d.]+)( mmol/mol)?", text)
    if found is None:
        return Reading(why=text, raw=text, measured=bool(text), **changes)
    comparator, number, converted = found.group(1) or "", Decimal(found.group(2)), bool(found.group(3))
    percent = number
    if converted:
        ngsp = Decimal("0.0915") * number + Decimal("2.15")
        percent = ngsp.quantize(Decimal("0.1"), ROUND_HALF_UP)
    usual = {"percent": percent, "comparator": comparator, "native": number, "raw": text}
    usual |= {"unit": "mmol/mol" if converted else "%", "path": "Observation.valueQuantity"}
    return Reading(**{**usual, "converted": converted, **changes})


def a1c(text: str = "7.6", on: str | None = "2026-11-10", **changes: Any) -> ObservationFact:
    """An HbA1c result (see `reading`) of that date."""
    usual = {"id": f"{text} of {on}", "effective": on, "reading": reading(text)}
    return observation(changes.pop("code", "4548-4"), **{**usual, **changes})


def goal(text: str = "<8.0", **changes: Any) -> GoalFact:
    """An active HbA1c Goal with that upper limit; `targets` replaces its one target."""
    usual = {"id": f"goal {text}", "lifecycle": "active"}
    if "targets" not in changes:
        usual["targets"] = (target(quantity=reading(text)),)
    return _make(GoalFact, usual, changes)


def target(**changes: Any) -> Target:
    return _make(Target, {"measure": concept("4548-4")}, changes)


def consent(**changes: Any) -> ConsentFact:
    """An active denial of the general consent category."""
    usual = {"id": "consent", "status": "active", "provision": "deny", "categories": (concept("59284-0"),)}
    return _make(ConsentFact, usual, changes)


def view(*facts: AnyFact, person: PatientFact | None = None, **changes: Any) -> PatientView:
    """The facts of one patient; keywords that name a parameter (`chr_min_groups=3`) set it."""
    known = set(Parameters.__struct_fields__)
    parameters = Parameters(**{key: changes.pop(key) for key in list(changes) if key in known})
    everything: Iterable[AnyFact] = (person or patient(), *facts)
    return PatientView(everything, parameters=parameters, **changes)


def _make(kind: type[Any], usual: dict[str, Any], changes: dict[str, Any]) -> Any:
    """Dates may be given as text."""
    fields = {**usual, **changes}
    dated = {f.name for f in msgspec.structs.fields(kind) if "When" in str(f.type)}
    return kind(**{k: when(v) if k in dated and isinstance(v, str) else v for k, v in fields.items()})
