"""The EMR's front door: one request read as HTTP and FHIR say, and answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from cm_service.sandbox.answers import Answer, Refusal
from cm_service.sandbox.bundles import process
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.declared import Personality
from cm_service.sandbox.exchange import BASE_PATH, Handler, Incoming, Outgoing
from cm_service.sandbox.exports import Exports
from cm_service.sandbox.meter import Meter
from cm_service.sandbox.paging import Pages
from cm_service.sandbox.routes import dispatch
from cm_service.sandbox.store import Store
from cm_service.sandbox.wire import JSON_TYPE, Resource, decode, http_date

_JSON = frozenset({JSON_TYPE, "application/json"})
_NDJSON = frozenset({"application/fhir+ndjson", "application/ndjson"})  # files of an export
_PATCH_TYPE = "application/json-patch+json"
_FORM = "application/x-www-form-urlencoded"


def front_door(store: Store, personality: Personality) -> Handler:
    """A handler over `store`. It keeps nothing else but searches being paged, exports and a meter."""
    pages = Pages(store, personality.paging)
    emr = Emr(store, personality, pages, Meter(store, personality.calls_a_minute), Exports())

    async def handle(incoming: Incoming) -> Outgoing:
        return respond(emr, incoming)

    return handle


def seen_by_client(store: Store, handler: Handler) -> Handler:
    """The outermost layer: tells the store which versions a client has really received."""

    async def handle(incoming: Incoming) -> Outgoing:
        outgoing = await handler(incoming)
        if outgoing.shows and outgoing.cut is None:
            store.show(outgoing.shows)
        return outgoing

    return handle


def respond(emr: Emr, incoming: Incoming) -> Outgoing:
    with emr.store.atomic():
        emr.store.index.count_request(emr.store.clock())
    try:
        emr.meter.count()
        answer = _answer(emr, incoming)
    except Refusal as refusal:
        answer = refusal.answer
    headers = {"Date": http_date(emr.store.clock())}
    if answer.body:
        headers["Content-Type"] = f"{JSON_TYPE}; charset=utf-8"
    headers |= answer.headers
    return Outgoing(answer.status, headers, answer.body, shows=answer.shows)


def _answer(emr: Emr, incoming: Incoming) -> Answer:
    path = tuple(part for part in incoming.path[len(BASE_PATH) :].split("/") if part)
    query = parse_qsl(incoming.query, keep_blank_values=True)
    _check_accept(incoming.headers.get("accept", ""), dict(query).get("_format", ""))
    query = [pair for pair in query if pair[0] != "_format"]
    call = Call(base=incoming.origin + BASE_PATH, query=query, headers=incoming.headers)
    if incoming.method == "POST" and path[1:] == ("_search",):
        call = replace(call, query=query + _form(incoming))
    elif incoming.method in ("POST", "PUT"):
        call = replace(call, resource=_resource(emr, incoming))
    elif incoming.method == "PATCH" and _content_type(incoming) == _PATCH_TYPE:
        call = replace(call, patch=_json(incoming.body))
    if incoming.method == "POST" and not path:
        return process(emr, call)
    return dispatch(emr, call, method=incoming.method, path=path)


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _content_type(incoming: Incoming) -> str:
    return _media_type(incoming.headers.get("content-type", ""))


def _check_accept(accept: str, wanted: str) -> None:
    """JSON only; a `_format` parameter goes before the header, as FHIR says."""
    asked = {_media_type(part) for part in (wanted or accept).split(",") if part.strip()}
    if asked and not asked & (_JSON | _NDJSON | {"json", "*/*", "application/*"}):
        raise Refusal(406, "not-supported", f"this server speaks {JSON_TYPE} only")


def _form(incoming: Incoming) -> list[tuple[str, str]]:
    if _content_type(incoming) != _FORM:
        raise Refusal(415, "not-supported", f"_search takes {_FORM}")
    try:
        return parse_qsl(incoming.body.decode(), keep_blank_values=True)
    except UnicodeDecodeError as error:
        raise Refusal(400, "structure", "the body is not UTF-8") from error


def _resource(emr: Emr, incoming: Incoming) -> Resource:
    if _content_type(incoming) not in _JSON:
        status = emr.personality.manners.media_status
        raise Refusal(status, "not-supported", f"this server takes {JSON_TYPE} only")
    resource = _json(incoming.body)
    if not isinstance(resource, dict):
        raise Refusal(400, "structure", "the body must be one JSON object")
    return resource


def _json(body: bytes) -> Any:
    try:
        return decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(400, "structure", "the body is not JSON in UTF-8") from error
