"""The one import surface for FHIR models: R4B, never the package's top level, which is R5.

R4 and R4B agree in every type that we send. Models check what we send and nothing else: what an EMR
sent is never put through them, because they drop trailing zeros, shorten nanoseconds and refuse
elements that they do not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.careplan import CarePlan
from fhir.resources.R4B.goal import Goal
from fhir.resources.R4B.task import Task

from cm_service.errors import InvalidResource
from cm_service.fhir import rawjson
from cm_service.fhir.invariants import broken

__all__ = ["Bundle", "CarePlan", "Goal", "Task", "model_of", "validate"]

# The models list only the first codes of this one (https://hl7.org/fhir/R4/valueset-task-status.html).
_LISTED: dict[tuple[str, str], list[Any]] = {
    ("Task", "status"): [
        *("draft", "requested", "received", "accepted", "rejected", "ready", "cancelled"),
        *("in-progress", "on-hold", "failed", "completed", "entered-in-error"),
    ]
}


def model_of(type_: str) -> type[pydantic.BaseModel]:
    """The R4B model of a resource type. Raises InvalidResource for a word that names none."""
    try:
        model: type[pydantic.BaseModel] = get_fhir_model_class(type_)
    except (LookupError, ValueError):
        raise InvalidResource("the resource names no FHIR type") from None
    return model


def validate(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as it will be sent: plain JSON values, decimals with the digits they have.

    Checked against its model, the codes of required bindings (the models take any word) and the
    invariants of `invariants.py`. Raises InvalidResource, which names places and never values."""
    sent: dict[str, Any] = rawjson.loads(rawjson.dumps(resource))
    type_ = str(sent.get("resourceType"))
    model = model_of(type_)
    try:
        built = model.model_validate(sent)
    except pydantic.ValidationError as error:
        raise InvalidResource(f"not sent: {_places(type_, error)}") from None
    wrong = [*_unknown_codes(built, type_), *broken(sent)]
    if wrong:
        raise InvalidResource(f"not sent: {'; '.join(wrong)}")
    return sent


def _places(type_: str, error: pydantic.ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(".".join([type_, *map(str, item["loc"])]) + f": {item['type']}" for item in found)


def _unknown_codes(model: pydantic.BaseModel, path: str) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        allowed = _LISTED.get((path, name)) or (extra.get("enum_values") if isinstance(extra, dict) else None)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, pydantic.BaseModel):
                yield from _unknown_codes(item, f"{path}.{field.alias or name}")
            elif item is not None and isinstance(allowed, list) and item not in allowed:
                yield f"{path}.{field.alias or name}: a code outside its required binding"
