"""What the sandbox refuses to store: a light check of the content, and references that lead nowhere.

It is no validator. It finds the mistakes that newer servers refuse: elements that R4 requires,
codes outside a required binding, and references to resources that do not exist here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cm_service.sandbox.answers import Refusal
from cm_service.sandbox.matching import elements, local_key
from cm_service.sandbox.wire import Resource

ID = re.compile(r"[A-Za-z0-9\-.]{1,255}", re.ASCII)  # how long one may be is for the EMR to say

_REQUIRED: Mapping[str, str] = {
    "Appointment": "status participant",
    "CarePlan": "status intent subject",
    "Communication": "status",
    "Condition": "subject",
    "Consent": "status scope category",
    "DocumentReference": "status content",
    "Encounter": "status class",
    "Flag": "status code subject",
    "Goal": "lifecycleStatus description subject",
    "MedicationRequest": "status intent subject",
    "Observation": "status code",
    "Procedure": "status subject",
    "Provenance": "target recorded agent",
    "QuestionnaireResponse": "status",
    "ServiceRequest": "status intent subject",
    "Task": "status intent",
}

_CODES: Mapping[tuple[str, str], str] = {
    ("CarePlan", "status"): "draft active on-hold revoked completed entered-in-error unknown",
    ("CarePlan", "intent"): "proposal plan order option",
    ("Goal", "lifecycleStatus"): "proposed planned accepted active on-hold completed cancelled "
    "entered-in-error rejected",
    ("Task", "status"): "draft requested received accepted rejected ready cancelled in-progress on-hold "
    "failed completed entered-in-error",
    ("Task", "intent"): "unknown proposal plan order original-order reflex-order filler-order "
    "instance-order option",
    ("Task", "priority"): "routine urgent asap stat",
}


def check_content(resource: Resource, *, type_: str, lax: bool = False) -> None:
    """Raises Refusal 400 for the wrong type, 422 for content that R4 does not allow. `lax`: as a parser
    would, which refuses codes that it does not know and misses nothing."""
    if resource.get("resourceType") != type_:
        raise Refusal(400, "invalid", f"the body must be a {type_}")
    if not isinstance(resource.get("meta", {}), dict):
        raise Refusal(400, "structure", "meta must be an object")
    for (owner, element), codes in _CODES.items():
        if owner == type_ and element in resource and resource[element] not in codes.split():
            status = 400 if lax else 422
            raise Refusal(status, "code-invalid", f"{type_}.{element} is not one of its codes")
    if not lax:
        _check_completeness(resource, type_)


def _check_completeness(resource: Resource, type_: str) -> None:
    for element in _REQUIRED.get(type_, "").split():
        if not resource.get(element):
            raise Refusal(422, "required", f"{type_}.{element} is required")
    if type_ == "Goal":
        _check_targets(resource)
    if type_ == "CarePlan":
        _check_activities(resource)


def _check_targets(goal: Resource) -> None:
    """R4 invariant gol-1."""
    for target in elements(goal, "target"):
        if any(name.startswith("detail") for name in target) and "measure" not in target:
            raise Refusal(422, "invariant", "Goal.target.measure is required where there is a detail")


def _check_activities(plan: Resource) -> None:
    """R4 invariant cpl-3."""
    for activity in elements(plan, "activity"):
        if "detail" in activity and "reference" in activity:
            raise Refusal(422, "invariant", "CarePlan.activity has a reference or a detail, not both")


def check_references(resource: Resource, *, exists: Callable[[str], bool]) -> None:
    """Raises Refusal 400 for a reference into this server that leads nowhere.

    Absolute references to other servers and logical ones (identifier, display) are left alone.
    """
    contained = {f"#{id_}" for id_ in elements(resource, "contained.id")}
    for holder in reference_holders(resource):
        reference = holder["reference"]
        if reference.startswith("#"):
            known = reference == "#" or reference in contained
        elif "://" in reference:
            known = True
        else:
            key = local_key(reference)
            known = key is not None and exists(key)
        if not known:
            raise Refusal(400, "not-found", "a reference leads to a resource that is not on this server")


def make_local(resource: Resource, *, base: str) -> None:
    """Absolute references under our own base become relative, as stored servers do."""
    for holder in reference_holders(resource):
        if holder["reference"].startswith(base + "/"):
            holder["reference"] = holder["reference"][len(base) + 1 :]


def reference_holders(node: Any) -> Iterator[dict[str, Any]]:
    """Every Reference with a literal reference, anywhere in a resource."""
    if isinstance(node, list):
        for item in node:
            yield from reference_holders(item)
    elif isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node
        for value in node.values():
            if isinstance(value, (list, dict)):
                yield from reference_holders(value)
