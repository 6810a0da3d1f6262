"""The FHIR server as an ASGI application. Faults of a network or a server go around it as middleware."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cm_service.sandbox.answers import Answer, Refusal
from cm_service.sandbox.bundles import process
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.personality import GENEROUS, Personality
from cm_service.sandbox.routes import dispatch
from cm_service.sandbox.search import Pages
from cm_service.sandbox.store import Store
from cm_service.sandbox.wire import JSON_TYPE, decode, http_date

BASE_PATH = "/fhir"

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_JSON = frozenset({JSON_TYPE, "application/json"})
_FORM = "application/x-www-form-urlencoded"


def create_app(store: Store, *, personality: Personality = GENEROUS) -> Starlette:
    """The server over `store`, under `/fhir`. It keeps nothing else but searches that are being paged."""
    emr = Emr(store, personality, Pages(store))

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        try:
            answer = _answer(emr, request, body)
        except Refusal as refusal:
            answer = refusal.answer
        return _response(answer, store)

    paths = (BASE_PATH, BASE_PATH + "/{path:path}")
    return Starlette(routes=[Route(path, endpoint, methods=_METHODS) for path in paths])


def _answer(emr: Emr, request: Request, body: bytes) -> Answer:
    base = f"{request.url.scheme}://{request.url.netloc}{BASE_PATH}"
    path = tuple(part for part in request.scope["path"][len(BASE_PATH) :].split("/") if part)
    query = parse_qsl(request.scope["query_string"].decode("ascii"), keep_blank_values=True)
    _check_accept(request.headers.get("accept", ""), dict(query).get("_format", ""))
    query = [pair for pair in query if pair[0] != "_format"]
    call = Call(base=base, query=query, headers=_headers(request))
    if request.method == "POST" and path[1:] == ("_search",):
        call = replace(call, query=query + _form(request, body))
    elif request.method in ("POST", "PUT"):
        call = replace(call, resource=_resource(request, body))
    if request.method == "POST" and not path:
        return process(emr, call)
    return dispatch(emr, call, method=request.method, path=path)


def _headers(request: Request) -> dict[str, str]:
    """A header that came in several lines is one list."""
    return {name: ", ".join(request.headers.getlist(name)) for name in request.headers}


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _check_accept(accept: str, wanted: str) -> None:
    """JSON only; a `_format` parameter goes before the header, as FHIR says."""
    asked = {_media_type(part) for part in (wanted or accept).split(",") if part.strip()}
    if asked and not asked & (_JSON | {"json", "*/*", "application/*"}):
        raise Refusal(406, "not-supported", f"this server speaks {JSON_TYPE} only")


def _form(request: Request, body: bytes) -> list[tuple[str, str]]:
    if _media_type(request.headers.get("content-type", "")) != _FORM:
        raise Refusal(415, "not-supported", f"_search takes {_FORM}")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True)
    except UnicodeDecodeError as error:
        raise Refusal(400, "structure", "the body is not UTF-8") from error


def _resource(request: Request, body: bytes) -> dict[str, object]:
    if _media_type(request.headers.get("content-type", "")) not in _JSON:
        raise Refusal(415, "not-supported", f"this server takes {JSON_TYPE} only")
    try:
        resource = decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Refusal(400, "structure", "the body is not JSON in UTF-8") from error
    if not isinstance(resource, dict):
        raise Refusal(400, "structure", "the body must be one JSON object")
    return resource


def _response(answer: Answer, store: Store) -> Response:
    headers = {"Date": http_date(store.clock()), **answer.headers}
    if answer.body:
        return Response(answer.body, answer.status, headers, media_type=f"{JSON_TYPE}; charset=utf-8")
    return Response(None, answer.status, headers)
