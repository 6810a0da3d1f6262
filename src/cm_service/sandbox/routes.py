"""Which interaction a method and a path mean. Everything else is refused, with the methods allowed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from cm_service.sandbox import reads, writes
from cm_service.sandbox.answers import Answer, Refusal
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.checks import ID
from cm_service.sandbox.personality import Interaction

_PLACES = {
    "type": re.compile(r"[A-Z][A-Za-z]+", re.ASCII),
    "id": ID,
    "version": re.compile(r"[0-9]+", re.ASCII),
}

Handler = Callable[[Emr, Call], Answer]


class Route(NamedTuple):
    """`shape` has `type`, `id` and `version` as places, all other segments literally.

    `interaction` is None where a server may not refuse.
    """

    method: str
    shape: tuple[str, ...]
    interaction: Interaction | None
    handler: Handler


ROUTES = (
    Route("GET", (), None, reads.page),
    Route("GET", ("metadata",), None, reads.metadata),
    Route("GET", ("type",), Interaction.SEARCH, reads.search),
    Route("POST", ("type", "_search"), Interaction.SEARCH, reads.search),
    Route("POST", ("type",), Interaction.CREATE, writes.create),
    Route("GET", ("type", "id"), Interaction.READ, reads.read),
    Route("PUT", ("type", "id"), Interaction.UPDATE, writes.update),
    Route("DELETE", ("type", "id"), Interaction.DELETE, writes.delete),
    Route("GET", ("type", "id", "_history"), Interaction.HISTORY, reads.history),
    Route("GET", ("type", "id", "_history", "version"), Interaction.VREAD, reads.vread),
)


def dispatch(emr: Emr, call: Call, *, method: str, path: tuple[str, ...]) -> Answer:
    """Raises Refusal: 404 for an unknown path or type, 405 for what is not declared."""
    routes = [route for route in ROUTES if _fits(route.shape, path)]
    if not routes:
        raise Refusal(404, "not-supported", "this server has no such address")
    places = dict(zip(routes[-1].shape, path, strict=True))
    call = replace(
        call, type=places.get("type", ""), id=places.get("id", ""), version=places.get("version", "")
    )
    allowed = [r for r in routes if r.interaction is None or emr.declared(call.type).allows(r.interaction)]
    for route in allowed:
        if route.method == method:
            return route.handler(emr, call)
    allow = ", ".join(route.method for route in allowed)
    raise Refusal(405, "not-supported", "this server does not do that: see /metadata", allow=allow)


def _fits(shape: tuple[str, ...], path: tuple[str, ...]) -> bool:
    if len(shape) != len(path):
        return False
    return all(
        _PLACES[place].fullmatch(part) if place in _PLACES else place == part
        for place, part in zip(shape, path, strict=True)
    )
