"""JSON Patch (RFC 6902): add, remove, replace and test, as far as EMRs take it."""

from __future__ import annotations

from typing import Any

from cm_service.sandbox.answers import Refusal
from cm_service.sandbox.wire import Resource


def patched(resource: Resource, operations: Any) -> Resource:
    """The resource, changed in place. Raises Refusal 400 for a bad patch, 422 for a failed test."""
    if not isinstance(operations, list):
        raise Refusal(400, "structure", "a JSON Patch is a list of operations")
    for operation in operations:
        try:
            _apply(resource, operation)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise Refusal(400, "value", "an operation of the patch cannot be carried out") from error
    return resource


def _apply(resource: Resource, operation: Any) -> None:
    kind, path = operation["op"], operation["path"]
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    node: Any = resource
    for part in way:
        node = node[_key(node, part)]
    if kind == "test":
        if node[_key(node, last)] != operation["value"]:
            raise Refusal(422, "conflict", "a test of the patch failed")
    elif kind == "remove":
        del node[_key(node, last)]
    elif kind == "replace":
        del node[_key(node, last)]
        _add(node, last, operation["value"])
    elif kind == "add":
        _add(node, last, operation["value"])
    else:
        raise ValueError("unknown operation")


def _add(node: Any, last: str, value: Any) -> None:
    if isinstance(node, list):
        node.insert(len(node) if last == "-" else int(last), value)
    else:
        node[last] = value


def _key(node: Any, part: str) -> Any:
    return int(part) if isinstance(node, list) else part
