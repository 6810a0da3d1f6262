"""How a resource of the synthetic panel stands in an EMR with habits of its own."""

from __future__ import annotations

import hashlib
from typing import Any

from cm_service.sandbox.matching import local_key
from cm_service.sandbox.wire import Resource

LOCAL_CLASSES = "urn:oid:2.999.10.4"  # of the arc that is reserved for examples
_NUMBERS = {
    "AMB": "13",
    "EMER": "5",
    "FLD": "31",
    "HH": "22",
    "IMP": "4",
    "ACUTE": "4",
    "NONAC": "6",
    "OBSENC": "7",
    "PRENC": "41",
    "SS": "8",
    "VR": "50",
}


def long_id(id_: str) -> str:
    """88 characters, the same for the same id."""
    return "e" + hashlib.sha512(id_.encode()).hexdigest()[:87]


def with_long_ids(resource: Resource) -> Resource:
    """Its own id and those in its references."""
    changed: Resource = _with_long_references(resource)
    return {**changed, "id": long_id(resource["id"])}


def _with_long_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_long_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {name: _with_long_references(value) for name, value in node.items()}
    if local_key(node.get("reference")) is not None:
        type_, id_, *version = node["reference"].split("/")
        changed["reference"] = "/".join([type_, long_id(id_), *version])
    return changed


def with_local_classes(resource: Resource) -> Resource:
    """Encounter.class in numbers that mean something in this house only."""
    known = resource.get("class")
    if resource["resourceType"] != "Encounter" or not isinstance(known, dict):
        return resource
    number = _NUMBERS.get(known.get("code", ""), "99")
    return {**resource, "class": {"system": LOCAL_CLASSES, "code": number}}
