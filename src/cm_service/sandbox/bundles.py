"""Transaction and batch Bundles. A transaction stands whole or not at all; a batch is many requests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from cm_service.sandbox.answers import Answer, Refusal
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.checks import reference_holders
from cm_service.sandbox.routes import dispatch
from cm_service.sandbox.search import condition_pairs, parse, run
from cm_service.sandbox.told import written_answer
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import Resource, encode, instant, version_of
from cm_service.sandbox.writes import match_none_exist

_ORDER = ("DELETE", "POST", "PUT", "GET")
_HEADERS = {"ifNoneExist": "if-none-exist", "ifMatch": "if-match"}


@dataclass
class _Entry:
    """One entry as a call. `key` is where it will end (`Type/id`); `found` a conditional match."""

    call: Call
    method: str
    path: tuple[str, ...]
    full_url: str
    key: str = ""
    found: Version | None = None


def process(emr: Emr, call: Call) -> Answer:
    """POST to the base. Raises Refusal; inside a batch the refusals stand in their entries."""
    bundle, kind = call.resource, call.resource.get("type")
    if bundle.get("resourceType") != "Bundle" or kind not in ("transaction", "batch"):
        raise Refusal(400, "invalid", "only a Bundle of type transaction or batch can be posted here")
    if kind not in emr.personality.system:
        raise Refusal(400, "not-supported", f"this server takes no {kind}: see /metadata")
    entries = [_entry(raw, call) for raw in bundle.get("entry") or ()]
    answers = _transaction(emr, entries) if kind == "transaction" else [_alone(emr, e) for e in entries]
    with_body = call.preference("return") == "representation"
    response = {
        "resourceType": "Bundle",
        "type": f"{kind}-response",
        "entry": [
            _response(emr, answer, entry, with_body) for answer, entry in zip(answers, entries, strict=True)
        ],
    }
    shows = tuple(version for answer in answers for version in answer.shows)
    return Answer(200, encode(response), shows=shows)


def _entry(raw: Any, call: Call) -> _Entry:
    request = raw.get("request") if isinstance(raw, dict) else None
    if not isinstance(request, dict) or request.get("method") not in _ORDER or not request.get("url"):
        raise Refusal(400, "invalid", "an entry needs a request with url and method GET, POST, PUT or DELETE")
    if not isinstance(raw.get("resource", {}), dict):
        raise Refusal(400, "structure", "the resource of an entry must be an object")
    path, _, query = request["url"].removeprefix(call.base).strip("/").partition("?")
    headers = {header: request[name] for name, header in _HEADERS.items() if name in request}
    if "prefer" in call.headers:
        headers["prefer"] = call.headers["prefer"]
    part = Call(
        base=call.base,
        type=path.partition("/")[0],
        query=parse_qsl(query, keep_blank_values=True),
        headers=headers,
        resource=raw.get("resource", {}),
    )
    return _Entry(part, request["method"], tuple(path.split("/")), raw.get("fullUrl", ""))


def _alone(emr: Emr, entry: _Entry) -> Answer:
    try:
        return dispatch(emr, entry.call, method=entry.method, path=entry.path)
    except Refusal as refusal:
        return refusal.answer


def _transaction(emr: Emr, entries: list[_Entry]) -> list[Answer]:
    """Answers in the order of the entries, work in the order that FHIR prescribes."""
    with emr.store.atomic():
        _settle_identities(emr, entries)
        _rewrite(emr, entries)
        promised = frozenset(entry.key for entry in entries if entry.method in ("POST", "PUT"))
        answers: dict[int, Answer] = {}
        for method in _ORDER:
            for index, entry in enumerate(entries):
                if entry.method == method:
                    entry.call = replace(entry.call, promised=promised)
                    answers[index] = _carry_out(emr, entry, index)
        return [answers[index] for index in range(len(entries))]


def _carry_out(emr: Emr, entry: _Entry, index: int) -> Answer:
    if entry.found is not None:
        return written_answer(emr, entry.call, 200, entry.found)
    try:
        return dispatch(emr, entry.call, method=entry.method, path=entry.path)
    except Refusal as refusal:
        raise Refusal(refusal.status, refusal.code, f"entry {index}: {refusal}") from refusal


def _settle_identities(emr: Emr, entries: list[_Entry]) -> None:
    """Before anything is written: which resource each entry is about. No resource twice."""
    conditions = [(e.call.type, c) for e in entries if (c := e.call.headers.get("if-none-exist"))]
    if len(set(conditions)) < len(conditions):
        raise Refusal(400, "duplicate", "two entries have the same ifNoneExist")
    for entry in entries:
        if entry.method == "POST":
            entry.found = match_none_exist(emr, entry.call)
            id_ = entry.found.id if entry.found else emr.new_id()
            headers = {k: v for k, v in entry.call.headers.items() if k != "if-none-exist"}
            entry.call = replace(entry.call, new_id=id_, headers=headers)
            entry.key = f"{entry.call.type}/{id_}"
        elif entry.method != "GET":
            entry.key = "/".join(entry.path)
    keys = [entry.key for entry in entries if entry.key]
    if len(set(keys)) < len(keys):
        raise Refusal(400, "duplicate", "two entries are about the same resource")


def _rewrite(emr: Emr, entries: list[_Entry]) -> None:
    """Temporary fullUrls and conditional references become `Type/id`."""
    keys = {e.full_url: e.key for e in entries if e.full_url and e.method in ("POST", "PUT")}
    for entry in entries:
        for holder in reference_holders(entry.call.resource):
            reference = holder["reference"]
            if reference in keys:
                holder["reference"] = keys[reference]
            elif "?" in reference and "://" not in reference.partition("?")[0]:
                holder["reference"] = _resolve(emr, reference, entry.call.base)


def _resolve(emr: Emr, reference: str, base: str) -> str:
    """A conditional reference must find exactly one resource."""
    type_, _, condition = reference.partition("?")
    pairs = condition_pairs(condition, type_="")
    query = parse(pairs, declared=emr.declared(type_), limits=emr.personality, strict=True, base=base)
    found = run(emr.store, type_, query)
    if len(found) != 1:
        raise Refusal(412, "multiple-matches", f"a conditional reference finds {len(found)} resources")
    return found[0].key


def _response(emr: Emr, answer: Answer, entry: _Entry, with_body: bool) -> Resource:
    response = _head(emr, answer, entry)
    if answer.version is not None:
        response["lastModified"] = instant(answer.version.updated)
    if answer.status >= 400:
        return {"response": {**response, "outcome": msgspec.Raw(answer.body)}}
    if answer.body and (with_body or entry.method == "GET"):
        return {"resource": msgspec.Raw(answer.body), "response": response}
    return {"response": response}


def _head(emr: Emr, answer: Answer, entry: _Entry) -> Resource:
    """Status, location and etag."""
    location = answer.headers.get("Location", answer.headers.get("Content-Location", ""))
    found = {"location": location if entry.method != "GET" else "", "etag": answer.headers.get("ETag", "")}
    status = str(answer.status)
    if emr.personality.manners.terse_entries:
        status = f"{status} {HTTPStatus(answer.status).phrase}"
        found = {
            "location": found["location"].removeprefix(entry.call.base + "/"),
            "etag": version_of(found["etag"]) if found["etag"] else "",
        }
    return {"status": status, **{name: value for name, value in found.items() if value}}
