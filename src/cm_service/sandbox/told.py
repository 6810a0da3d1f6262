"""How one version is answered: body, ETag, Last-Modified and Location as this EMR writes them."""

from __future__ import annotations

from cm_service.sandbox.answers import Answer, outcome
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.declared import Location
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import encode, etag, http_date, subset


def version_answer(emr: Emr, call: Call, version: Version) -> Answer:
    """200 with one version and its ETag and Last-Modified."""
    body = emr.body(version)
    for name, value in call.query:
        if name == "_elements" and emr.personality.manners.subsets:
            body = subset(body, frozenset(value.split(",")))
    return Answer(200, body, version_headers(emr, call, version), version, (version,))


def version_headers(emr: Emr, call: Call, version: Version) -> dict[str, str]:
    tag = {"ETag": etag(emr.personality.version_name(version))} if emr.personality.etag else {}
    own = emr.personality.manners.content_location
    place = {"Content-Location": _location(emr, call, version)} if own else {}
    return {**tag, **place, "Last-Modified": http_date(version.updated)}


def deleted_answer(emr: Emr, call: Call, version: Version) -> Answer:
    status = emr.personality.manners.delete_status
    if status == 204:
        return Answer(204, b"", version_headers(emr, call, version), version)
    return Answer(status, encode(outcome("information", "informational", "deleted")), {}, version)


def written_answer(emr: Emr, call: Call, status: int, version: Version) -> Answer:
    """The answer to a create or update, with as much body as `Prefer: return=` asked for."""
    headers = version_headers(emr, call, version)
    if not call.id or not emr.personality.manners.content_location:
        headers["Location"] = _location(emr, call, version)
    wanted, kind = call.preference("return"), emr.personality
    if kind.mute or wanted == "minimal" or (kind.silent and not wanted):
        return Answer(status, b"", headers, version)
    if wanted == "OperationOutcome":
        body = encode(outcome("information", "informational", "stored"))
        return Answer(status, body, headers, version)
    return Answer(status, emr.body(version), headers, version, (version,))


def _location(emr: Emr, call: Call, version: Version) -> str:
    style = emr.personality.location
    if style is Location.RELATIVE:
        return version.key
    place = f"{call.base}/{version.key}"
    if style is Location.ABSOLUTE:
        return place
    return f"{place}/_history/{emr.personality.version_name(version)}"
