"""An inlet for care gaps: MeasureReports go in, and nothing of them can be read back."""

from __future__ import annotations

from typing import Any

from cm_service.sandbox.answers import Answer, Refusal, outcome
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.checks import check_references
from cm_service.sandbox.matching import elements, local_key
from cm_service.sandbox.wire import Resource, encode


def submit_care_gaps(emr: Emr, call: Call) -> Answer:
    """200 with an OperationOutcome. Raises Refusal 400, with nothing stored, if one report is no good."""
    reports = _reports(call.resource)
    with emr.store.atomic():
        for report in reports:
            _check(emr, report)
            id_ = emr.new_id()
            emr.store.put(report, type_="MeasureReport", id_=id_, method="POST")
    return Answer(200, encode(outcome("information", "informational", f"{len(reports)} care gaps taken")))


def _reports(resource: Resource) -> list[Resource]:
    kind = resource.get("resourceType")
    if kind == "MeasureReport":
        return [resource]
    nested: list[Any] = []
    if kind == "Parameters":
        nested = list(elements(resource, "parameter.resource"))
    elif kind == "Bundle":
        nested = list(elements(resource, "entry.resource"))
    found = [r for inner in nested if isinstance(inner, dict) for r in _reports(inner)]
    if not found and kind in ("Parameters", "Bundle", None):
        raise Refusal(400, "required", "there is no MeasureReport in it")
    return found


def _check(emr: Emr, report: Resource) -> None:
    missing = [name for name in ("status", "type", "measure", "period") if not report.get(name)]
    if missing:
        raise Refusal(400, "required", f"MeasureReport.{missing[0]} is required")
    patient = local_key(report.get("subject", {}).get("reference"))
    if patient is None or not patient.startswith("Patient/"):
        raise Refusal(400, "required", "MeasureReport.subject must be a patient")
    check_references(report, exists=emr.store.exists)
