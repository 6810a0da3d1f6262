"""A care gap for `MeasureReport/$submit-care-gaps`: an inlet, of which nothing can be read back.

An open gap is a patient in the denominator and not in the numerator; done is in the numerator too; a
finding that was withdrawn is excluded. The definition at the vendor is not public (see the profile).
"""

from __future__ import annotations

from html import escape

from cm_service.fhir import resources
from cm_service.flow.ours import Json
from cm_service.flow.rungs.copies import Copy

TYPE, OPERATION = "MeasureReport", "submit-care-gaps"
_POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
_XHTML = "http://www.w3.org/1999/xhtml"


def build(copy: Copy, rule: str) -> Json:
    """One MeasureReport under an id of our own (the inlet tells none), validated."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in copy.text().splitlines() if line)
    done = copy.wanted.get("status") == "completed"
    excluded = copy.ended and not done
    counts = {"denominator": 1, "denominator-exclusion": int(excluded), "numerator": int(done)}
    report: Json = {
        "resourceType": TYPE,
        "id": copy.value,
        "text": {"status": "generated", "div": f'<div xmlns="{_XHTML}">{lines}</div>'},
        "identifier": copy.identifiers,
        "status": "complete",
        "type": "individual",
        "measure": f"{copy.base}/Measure/{rule}",
        "subject": copy.patient,
        "date": copy.at,
        "reporter": copy.device | {"type": "Organization"},
        "period": {"start": str(copy.wanted.get("authoredOn") or copy.at), "end": copy.at},
        "group": [{"population": [_population(code, count) for code, count in counts.items()]}],
    }
    return resources.validate(report)


def parameters(report: Json) -> Json:
    """What the operation takes."""
    return {"resourceType": "Parameters", "parameter": [{"name": "measureReport", "resource": report}]}


def _population(code: str, count: int) -> Json:
    return {"code": {"coding": [{"system": _POPULATION, "code": code}]}, "count": count}
