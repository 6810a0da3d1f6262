"""Interactions that change nothing: metadata, search, read, vread, history."""

from __future__ import annotations

import msgspec

from cm_service.sandbox.answers import Answer, Refusal, version_answer
from cm_service.sandbox.calls import Call, Emr, known_version
from cm_service.sandbox.capability import capability_statement
from cm_service.sandbox.search import PAGE, parse, run
from cm_service.sandbox.store import Version
from cm_service.sandbox.wire import Resource, encode, etag, instant


def metadata(emr: Emr, call: Call) -> Answer:
    statement = capability_statement(emr.personality, store=emr.store, base=call.base)
    return Answer(200, encode(statement))


def page(emr: Emr, call: Call) -> Answer:
    tokens = [value for name, value in call.query if name == PAGE]
    if len(tokens) != 1:
        raise Refusal(400, "not-supported", "this server does not search across types")
    return Answer(200, encode(emr.pages.later(tokens[0])))


def search(emr: Emr, call: Call) -> Answer:
    strict = call.preference("handling") == "strict"
    query = parse(
        call.query,
        declared=emr.declared(call.type),
        limits=emr.personality,
        strict=strict,
        base=call.base,
    )
    found = run(emr.store, call.type, query)
    return Answer(200, encode(emr.pages.first(call.type, query, found, base=call.base)))


def read(emr: Emr, call: Call) -> Answer:
    return version_answer(_alive(known_version(emr, call)))


def vread(emr: Emr, call: Call) -> Answer:
    for version in emr.store.history(call.type, call.id):
        if str(version.number) == call.version:
            return version_answer(_alive(version))
    raise Refusal(404, "not-found", "no such version")


def history(emr: Emr, call: Call) -> Answer:
    """Every version of one resource, newest first."""
    known_version(emr, call)
    versions = emr.store.history(call.type, call.id)[::-1]
    bundle = {
        "resourceType": "Bundle",
        "type": "history",
        "total": len(versions),
        "link": [{"relation": "self", "url": f"{call.base}/{call.type}/{call.id}/_history"}],
        "entry": [_history_entry(version, call.base) for version in versions],
    }
    return Answer(200, encode(bundle))


def _history_entry(version: Version, base: str) -> Resource:
    url = version.type if version.method == "POST" else version.key
    status = {"POST": "201", "PUT": "200", "DELETE": "204"}[version.method]
    entry: Resource = {
        "fullUrl": f"{base}/{version.key}",
        "request": {"method": version.method, "url": url},
        "response": {
            "status": status,
            "etag": etag(version.number),
            "lastModified": instant(version.updated),
        },
    }
    if version.resource is not None:
        entry["resource"] = msgspec.Raw(version.body)
    return entry


def _alive(version: Version) -> Version:
    if version.resource is None:
        raise Refusal(410, "deleted", "the resource was deleted")
    return version
