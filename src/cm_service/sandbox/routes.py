"""Which interaction a method and a path mean. Everything else is refused, with the methods allowed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from cm_service.sandbox import bulk, histories, reads, writes
from cm_service.sandbox.answers import Answer, Refusal
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.checks import ID
from cm_service.sandbox.declared import PATCH, Interaction

_PLACES = {
    "type": re.compile(r"[A-Z][A-Za-z]+", re.ASCII),
    "id": ID,
    "version": re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII),
    "operation": re.compile(r"\$[a-z-]+", re.ASCII),
    "name": re.compile(r"[A-Za-z0-9.-]+", re.ASCII),
}

Handler = Callable[[Emr, Call], Answer]


class Route(NamedTuple):
    """`shape` has `type`, `id`, `version` and `operation` as places, all other segments literally.

    `interaction` is None where a server may not refuse.
    """

    method: str
    shape: tuple[str, ...]
    interaction: str | None
    handler: Handler


def _operate(emr: Emr, call: Call) -> Answer:
    return emr.declared(call.type).operations[call.operation](emr, call)


ROUTES = (
    Route("GET", (), None, reads.page),
    Route("GET", ("metadata",), None, reads.metadata),
    Route("GET", ("type",), Interaction.SEARCH, reads.search),
    Route("POST", ("type", "_search"), Interaction.SEARCH, reads.search),
    Route("POST", ("type",), Interaction.CREATE, writes.create),
    Route("GET", ("type", "id"), Interaction.READ, reads.read),
    Route("PUT", ("type", "id"), Interaction.UPDATE, writes.update),
    Route("PATCH", ("type", "id"), PATCH, writes.patch),
    Route("DELETE", ("type", "id"), Interaction.DELETE, writes.delete),
    Route("GET", ("type", "_history"), Interaction.TYPE_HISTORY, histories.of_type),
    Route("GET", ("type", "id", "_history"), Interaction.HISTORY, histories.of_resource),
    Route("GET", ("type", "id", "_history", "version"), Interaction.VREAD, reads.vread),
    Route("POST", ("type", "operation"), None, _operate),
    *(Route(method, shape, None, bulk.kick_off) for method in ("GET", "POST") for shape in bulk.SHAPES),
    Route("GET", ("bulk-status", "id"), None, bulk.status),
    Route("DELETE", ("bulk-status", "id"), None, bulk.delete),
    Route("GET", ("bulk-file", "id", "name"), None, bulk.file),
)

_BY_LENGTH = {
    length: tuple(route for route in ROUTES if len(route.shape) == length)
    for length in {len(route.shape) for route in ROUTES}
}


def dispatch(emr: Emr, call: Call, *, method: str, path: tuple[str, ...]) -> Answer:
    """Raises Refusal: 404 for an unknown path or type, 405 for what is not declared."""
    routes = [route for route in _BY_LENGTH.get(len(path), ()) if _fits(route.shape, path, emr)]
    if not routes:
        raise Refusal(404, "not-supported", "this server has no such address")
    places = dict(zip(routes[-1].shape, path, strict=True))
    call = replace(
        call,
        type=places.get("type", ""),
        id=places.get("id", ""),
        version=places.get("version", ""),
        operation=places.get("operation", "").removeprefix("$"),
        name=places.get("name", ""),
        path=path,
    )
    allowed = [r for r in routes if r.interaction is None or emr.declared(call.type).allows(r.interaction)]
    for route in allowed:
        if route.method == method:
            return route.handler(emr, call)
    _refuse_hollow(emr, call, [r.interaction for r in routes if r.method == method])
    allow = ", ".join(route.method for route in allowed)
    status = emr.personality.manners.method_status
    raise Refusal(status, "not-supported", "this server does not do that: see /metadata", allow=allow)


def _refuse_hollow(emr: Emr, call: Call, interactions: list[str | None]) -> None:
    """What is declared and yet not done has a refusal of its own: some say 403 and nothing else."""
    status = emr.personality.hollow_status
    if call.type and emr.declared(call.type).hollow.intersection(filter(None, interactions)):
        raise Refusal(status, "forbidden", "this client may not do that", bare=status == 403)


def _fits(shape: tuple[str, ...], path: tuple[str, ...], emr: Emr) -> bool:
    places = dict(zip(shape, path, strict=True))
    if len(places.get("id", "")) > emr.personality.longest_id:
        return False
    if "operation" in places:
        declared = emr.personality.types.get(places["type"])
        if declared is None or places["operation"].removeprefix("$") not in declared.operations:
            return False
    return all(
        _PLACES[place].fullmatch(part) if place in _PLACES else place == part
        for place, part in places.items()
    )
