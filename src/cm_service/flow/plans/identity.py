"""Business keys (rules.md 6.11), and what they say: one place mints them and reads them back.

A key is minted from the patient's id in the EMR at that time and never recomputed. It is also
written into the resource in plain (second identifier), because the hash alone would not tell a
service that lost its store which finding a Task belongs to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cm_service.flow.intents import identifier_value

LONGITUDINAL, TRANSITION = "longitudinal", "transition"
A1C_MEASURE, ED_MEASURE, STAY_MEASURE = "4548-4", "ed-visits", "no-unplanned-readmission"
RULE_OF_MEASURE = {A1C_MEASURE: "A1C-OUT", ED_MEASURE: "ED-OVERUSE", STAY_MEASURE: "DIS-TCM"}
_WHOLE_PATIENT = "-"  # subject key of a finding that a patient can have only once at a time


class Identity(NamedTuple):
    """What a business key says; `enrolment` is the number of the plan ("" where there is none)."""

    rule: str
    code: str
    subject: str = ""
    enrolment: str = ""


def plan_key(patient_id: str, program: str, enrolment: str) -> str:
    """`enrolment`: 1, 2, ... of the longitudinal plan; the stay key of a transition plan."""
    return f"plan|{patient_id}|{program}|{enrolment}"


def goal_key(patient_id: str, measure: str, enrolment: str) -> str:
    return f"goal|{patient_id}|{measure}|{enrolment}"


def task_key(patient_id: str, *, rule: str, subject: str, code: str, sequence: int) -> str:
    return f"{rule}|{patient_id}|{subject or _WHOLE_PATIENT}|{code}|{sequence}"


def stay_value(patient_id: str, subject: str) -> str:
    """Identifier value of an episode: what its Tasks share as groupIdentifier."""
    return identifier_value(f"stay|{patient_id}|{subject}")


def read_key(business_key: str) -> Identity:
    """Rule, code and subject of a key. Raises ValueError for a text that is no key of ours."""
    first, *rest = business_key.split("|")
    if first == "plan" and len(rest) > 2:
        return _plan(rest[1], "|".join(rest[2:]))
    if first == "goal" and len(rest) > 2:
        return _goal(rest[1], "|".join(rest[2:]))
    if not first or len(rest) < 4:
        raise ValueError("not a business key")
    subject = "|".join(rest[1:-2])
    return Identity(first, rest[-2], "" if subject == _WHOLE_PATIENT else subject)


def _plan(program: str, enrolment: str) -> Identity:
    if program == TRANSITION:
        return Identity("DIS-TCM", TRANSITION, enrolment)
    return Identity("", program, "", enrolment)


def _goal(measure: str, enrolment: str) -> Identity:
    if measure == STAY_MEASURE:
        return Identity("DIS-TCM", measure, enrolment)
    return Identity(RULE_OF_MEASURE.get(measure, ""), measure, "", enrolment)


def identifiers(base: str, kind: str, business_key: str) -> list[dict[str, Any]]:
    """Resource.identifier of a thing of ours."""
    word = "plan" if kind == "CarePlan" else kind.lower()
    return [
        {"system": f"{base}/id/{word}", "value": identifier_value(business_key)},
        {"use": "secondary", "system": f"{base}/key/{word}", "value": business_key},
    ]


def key_in(resource: dict[str, Any], base: str) -> str:
    """The business key that a resource read from an EMR carries, "" if it is none of ours."""
    for identifier in resource.get("identifier") or []:
        if str(identifier.get("system", "")).startswith(f"{base}/key/"):
            return str(identifier.get("value", ""))
    return ""
