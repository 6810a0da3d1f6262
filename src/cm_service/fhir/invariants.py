"""FHIR R4 invariants that the models do not know and that our resources could break.

Each is quoted by its key in the specification (https://hl7.org/fhir/R4/, "Constraints" of the type).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

_Json = dict[str, Any]
_Check = Callable[[_Json], bool]


def broken(resource: _Json) -> Iterator[str]:
    """`path: what is wrong` for each breach, without values."""
    yield from _walk(resource, resource["resourceType"])
    for path, key, check in _OF_TYPE.get(resource["resourceType"], ()):
        parts = resource.get(path) if path else [resource]
        if not all(check(part) for part in parts or []):
            yield f"{resource['resourceType']}{'.' * bool(path)}{path}: {key}"


def _walk(value: Any, path: str) -> Iterator[str]:
    """ele-1 (no empty element) and the invariants of data types, wherever they stand."""
    if value is None or (isinstance(value, str | list | dict) and not value):
        yield f"{path}: ele-1 empty element"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        yield from (f"{path}: {key}" for key, holds in _OF_DATA if not holds(value))
        for name, item in value.items():
            yield from _walk(item, f"{path}.{name}")


def _period(element: _Json) -> bool:
    return _in_order(element.get("start"), element.get("end"))


def _in_order(first: Any, second: Any) -> bool:
    """Compared as exactly as the less precise of the two dates allows."""
    if not isinstance(first, str) or not isinstance(second, str):
        return True
    if "T" in first and "T" in second:
        return datetime.fromisoformat(first) <= datetime.fromisoformat(second)
    length = min(len(first), len(second), 10)
    return first[:length] <= second[:length]


def _quantity(element: _Json) -> bool:
    return not ("value" in element and "code" in element and "system" not in element)


def _extension(element: _Json) -> bool:
    return all(
        isinstance(item, dict) and (any(name.startswith("value") for name in item) != ("extension" in item))
        for item in element.get("extension", [])
    )


def _range(element: _Json) -> bool:
    bounds = [element.get(name) for name in ("low", "high")]
    low, high = (bound.get("value") if isinstance(bound, dict) else None for bound in bounds)
    numbers = isinstance(low, int | Decimal) and isinstance(high, int | Decimal)
    return not numbers or low <= high  # type: ignore[operator]  # both are numbers here


_OF_DATA: tuple[tuple[str, _Check], ...] = (
    ("per-1 a period ends before it starts", _period),
    ("qty-3 a unit code without its system", _quantity),
    ("ext-1 an extension has a value or extensions, one of them", _extension),
    ("rng-2 a range whose low is above its high", _range),
)


def _goal_target(target: _Json) -> bool:
    return "measure" in target or not any(name.startswith("detail") for name in target)


def _activity(activity: _Json) -> bool:
    return not ("detail" in activity and "reference" in activity)


def _task_dates(task: _Json) -> bool:
    return _in_order(task.get("authoredOn"), task.get("lastModified"))


_OF_TYPE: dict[str, tuple[tuple[str, str, _Check], ...]] = {
    "Goal": (("target", "gol-1 a target detail needs its measure", _goal_target),),
    "CarePlan": (("activity", "cpl-3 an activity has a reference or a detail, not both", _activity),),
    "Task": (("", "inv-1 lastModified is before authoredOn", _task_dates),),
}
