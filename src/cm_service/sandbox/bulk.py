"""`$export` of Bulk Data Access 2.0: kick-off, status, files, delete, as each EMR limits it.

Everything is of the moment of the kick-off. A Group brings what is about its members, every level what is
about nobody (places, organizations).
"""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

from cm_service.sandbox.answers import Answer, Refusal, outcome
from cm_service.sandbox.calls import Call, Emr
from cm_service.sandbox.declared import Bulk, Unknown
from cm_service.sandbox.exports import Export
from cm_service.sandbox.matching import Test
from cm_service.sandbox.search import parse
from cm_service.sandbox.versions import Version, patients
from cm_service.sandbox.wire import encode, instant

SHAPES = (("$export",), ("Patient", "$export"), ("Group", "id", "$export"))
NDJSON = "application/fhir+ndjson"
_LEVELS = {1: "system", 2: "patient", 3: "group"}
_SHAPING = frozenset({"_outputFormat", "_elements"})  # formats are checked, elements never left out
_FORMATS = frozenset({NDJSON, "application/ndjson", "ndjson"})
Pairs = list[tuple[str, str]]


def kick_off(emr: Emr, call: Call) -> Answer:
    kind, level = emr.personality.bulk, _LEVELS[len(call.path)]
    if kind is None or level not in kind.levels:
        raise Refusal(404, "not-supported", "this server has no export of this kind")
    if "respond-async" not in call.headers.get("prefer", ""):
        raise Refusal(400, "required", "an export needs Prefer: respond-async")
    pairs = _pairs(call)
    request = f"{'/'.join(call.path)} {sorted(pairs)}"
    _check_jobs(emr, kind)
    with emr.store.atomic():
        job = emr.store.new_id()
        emr.exports.by_id[job] = _made(emr, call, kind, level, pairs, request)
    return Answer(202, headers={"Content-Location": f"{call.base}/bulk-status/{job}"})


def status(emr: Emr, call: Call) -> Answer:
    kind, export = emr.personality.bulk or Bulk(), _known(emr, call)
    if export.polls < kind.waits:
        export.polls += 1
        progress = f"{export.polls} of {kind.waits + 1} parts"
        return Answer(202, headers={"X-Progress": progress, "Retry-After": kind.retry_after})
    manifest = {
        "transactionTime": instant(export.moment),
        "request": f"{call.base}/{export.request.partition(' ')[0]}",
        "requiresAccessToken": "authorization" in call.headers,
    }
    for name, entries in export.listed.items():
        manifest[name] = [{**e, "url": f"{call.base}/bulk-file/{call.id}/{e['url']}"} for e in entries]
    return Answer(200, encode(manifest), {"Content-Type": "application/json"})


def delete(emr: Emr, call: Call) -> Answer:
    _known(emr, call)
    del emr.exports.by_id[call.id]
    return Answer(202)


def file(emr: Emr, call: Call) -> Answer:
    body = _known(emr, call).files.get(call.name)
    if body is None:
        raise Refusal(404, "not-found", "no such file")
    headers = {"Content-Type": NDJSON}
    if "gzip" in call.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = gzip.compress(body, mtime=0), "gzip"
    return Answer(200, body, headers)


def _known(emr: Emr, call: Call) -> Export:
    if call.id not in emr.exports.by_id:
        raise Refusal(404, "not-found", "no such export")
    return emr.exports.by_id[call.id]


def _pairs(call: Call) -> Pairs:
    """The parameters of the query or of a Parameters resource, lists taken apart but for filters."""
    pairs = [*call.query]
    for part in call.resource.get("parameter") or ():
        value = next((str(v) for name, v in part.items() if name.startswith("value")), "")
        pairs.append((str(part.get("name")), value))
    return pairs


def _check_jobs(emr: Emr, kind: Bulk) -> None:
    """Some have one job per client, some one per group and say "duplicate" with 200."""
    if kind.most_jobs is None or len(emr.exports.by_id) < kind.most_jobs:
        return
    if kind.refusal == 200:
        raise Refusal(200, "duplicate", "an export of this group is being made")
    raise Refusal(kind.refusal, "throttled", "another export of this client is being made")


def _made(emr: Emr, call: Call, kind: Bulk, level: str, pairs: Pairs, request: str) -> Export:
    members = _members(emr, call.id) if level == "group" else None
    types, errors = _types(emr, call, pairs)
    since = _since(pairs) if kind.since else None
    tests = _filters(emr, call, pairs) if kind.type_filter else {}
    files: dict[str, bytes] = {}
    output: list[dict[str, object]] = []
    for type_ in types:
        found = [v for v in emr.store.live(type_) if _is_wanted(v, members, tests.get(type_))]
        shown = [emr.body(v) for v in _changed(emr, kind, found, since)]
        output += _files(files, type_, shown, kind.most_lines)
    gone = _deletions(emr, types, since) if kind.deleted and since is not None else []
    listed = {
        "output": output,
        "deleted": _files(files, "Bundle", [encode(bundle) for bundle in gone], kind.most_lines),
        "error": _files(files, "OperationOutcome", [encode(each) for each in errors], kind.most_lines),
    }
    return Export(request, emr.store.clock(), files, listed)


def _members(emr: Emr, id_: str) -> frozenset[str]:
    group = emr.store.current("Group", id_)
    if group is None or group.resource is None:
        raise Refusal(404, "not-found", "no such group")
    members = group.resource.get("member") or ()
    return frozenset(str(m["entity"]["reference"]) for m in members if not m.get("inactive"))


def _types(emr: Emr, call: Call, pairs: Pairs) -> tuple[list[str], list[dict[str, Any]]]:
    asked = [name for key, raw in pairs if key == "_type" for name in raw.split(",") if name]
    known = emr.personality.types
    odd = [name for name in dict.fromkeys(asked) if name not in known]
    errors = []
    unknown = [key for key, _ in pairs if key not in _SHAPING | {"_type", "_since", "_typeFilter"}]
    if any(key == "_outputFormat" and raw not in _FORMATS for key, raw in pairs):
        raise Refusal(400, "not-supported", "this server exports NDJSON only")
    if odd or unknown:
        if call.preference("handling") != "lenient":
            raise Refusal(400, "not-supported", "an unknown type or parameter of an export")
        errors = [outcome("information", "not-supported", "a type or parameter was ignored")]
    types = [name for name in dict.fromkeys(asked) if name in known]
    return types if asked else list(known), errors


def _since(pairs: Pairs) -> dt.datetime | None:
    for key, raw in pairs:
        if key == "_since":
            try:
                return dt.datetime.fromisoformat(raw).astimezone(dt.UTC)
            except ValueError:
                raise Refusal(400, "value", "_since is no instant") from None
    return None


def _filters(emr: Emr, call: Call, pairs: Pairs) -> dict[str, list[list[Test]]]:
    """Per type the filters, of which one must fit; commas inside of one are written %2C."""
    found: dict[str, list[list[Test]]] = {}
    for filter_ in (part for key, raw in pairs if key == "_typeFilter" for part in raw.split(",")):
        type_, _, search = filter_.partition("?")
        query = parse(
            parse_qsl(unquote(search)),
            declared=emr.declared(type_),
            limits=emr.personality,
            strict=emr.personality.unknown is Unknown.PREFER,
            base=call.base,
        )
        found.setdefault(type_, []).append(query.tests)
    return found


def _is_wanted(version: Version, members: frozenset[str] | None, filters: list[list[Test]] | None) -> bool:
    whose = {version.key} if version.type == "Patient" else patients(version)
    if members is not None and whose and not whose & members:
        return False
    return filters is None or any(all(test(version.resource or {}) for test in some) for some in filters)


def _changed(emr: Emr, kind: Bulk, found: Iterable[Version], since: dt.datetime | None) -> Iterator[Version]:
    for version in found:
        if since is None or (
            version.updated > since and not (kind.since_hides and _hidden(emr, version, since))
        ):
            yield version


def _hidden(emr: Emr, version: Version, since: dt.datetime) -> bool:
    """HAPI issue 4387: a Group's export since a moment begins with the Patients that changed."""
    whose = [emr.store.current(*key.split("/", 1)) for key in patients(version)]
    return bool(whose) and all(who is None or who.updated <= since for who in whose)


def _deletions(emr: Emr, types: list[str], since: dt.datetime) -> list[dict[str, Any]]:
    gone = [
        chain[-1]
        for chain in emr.store.histories()
        if chain[-1].resource is None and chain[-1].updated > since and chain[-1].type in types
    ]
    return [
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [{"request": {"method": "DELETE", "url": version.key}}],
        }
        for version in gone
    ]


def _files(files: dict[str, bytes], type_: str, lines: list[bytes], most: int) -> list[dict[str, object]]:
    """Put the lines into files; returns what the manifest says of them."""
    entries: list[dict[str, object]] = []
    for start in range(0, len(lines), most):
        part, name = lines[start : start + most], f"{len(files) + 1}.{type_}.ndjson"
        files[name] = b"".join(line + b"\n" for line in part)
        entries.append({"type": type_, "url": name, "count": len(part)})
    return entries
