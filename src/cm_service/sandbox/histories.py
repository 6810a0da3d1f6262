"""What was: every version of one resource, or of a type since a moment; deletions too, newest first."""

from __future__ import annotations

import datetime as dt

import msgspec

from cm_service.sandbox.answers import Answer, Refusal
from cm_service.sandbox.calls import Call, Emr, known_version
from cm_service.sandbox.reads import page_answer
from cm_service.sandbox.search import Query
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import Resource, encode, etag, instant


def of_resource(emr: Emr, call: Call) -> Answer:
    known_version(emr, call)
    versions = emr.store.history(call.type, call.id)[::-1]
    bundle = {
        "resourceType": "Bundle",
        "type": "history",
        "total": len(versions),
        "link": [{"relation": "self", "url": f"{call.base}/{call.type}/{call.id}/_history"}],
        "entry": [_entry(emr, version, call.base) for version in versions],
    }
    return Answer(200, encode(bundle), shows=tuple(versions))


def of_type(emr: Emr, call: Call) -> Answer:
    """In pages, where there are more. What the search index does not show yet is not here either."""
    limits, count, since = emr.personality, emr.personality.default_count, None
    for name, raw in call.query:
        if name == limits.paging.count and raw.isdecimal():
            count = min(int(raw), limits.max_count)
        elif name == "_since":
            since = _moment(raw)
        else:
            raise Refusal(400, "not-supported", f"a history of a type takes {limits.paging.count} and _since")
    found = emr.store.changes(call.type, since=since)
    query = Query(count, used=list(call.query))
    return page_answer(
        emr.pages.first(
            f"{call.type}/_history",
            query,
            found,
            base=call.base,
            body=emr.body,
            entry=lambda version: _entry(emr, version, call.base),
        )
    )


def _moment(raw: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(raw)
    except ValueError as error:
        raise Refusal(400, "value", "the value of _since cannot be read") from error
    if moment.tzinfo is None:
        raise Refusal(400, "value", "_since needs an offset")
    return moment


def _entry(emr: Emr, version: Version, base: str) -> Resource:
    url = version.type if version.method == "POST" else version.key
    status = {"POST": "201", "PUT": "200", "DELETE": "204"}[version.method]
    entry: Resource = {
        "fullUrl": f"{base}/{version.key}",
        "request": {"method": version.method, "url": url},
        "response": {
            "status": status,
            "etag": etag(emr.personality.version_name(version)),
            "lastModified": instant(version.updated),
        },
    }
    if version.resource is not None:
        entry["resource"] = msgspec.Raw(emr.body(version))
    return entry
