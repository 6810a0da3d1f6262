"""What the answer to one write means: done, refused, in conflict, not taken now, or nobody knows.

Everything that could have happened on the way counts as unknown; only what an answer proves is
believed (502 and 504 are said by gateways that do not know what the server behind them did).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from cm_service.errors import EmrBusy, EmrError, NotFhir, WriteConflict, WriteOutcomeUnknown
from cm_service.fhir.answers import Answer
from cm_service.fhir.http import EmrHttp
from cm_service.fhir.retry import retry_after

_DONE = frozenset({200, 201, 204})
_CONFLICT = frozenset({409, 412})  # Oracle Health and HAPI answer 409 where the specification says 412


class WriteResult(msgspec.Struct, frozen=True, kw_only=True):
    """`status` 200 after a conditional create: it was there already, `body` is not ours. `etag` as
    the EMR gave it. `body` is None where the EMR sent none; then read back what was stored."""

    status: int
    id: str
    version: str | None
    etag: str | None
    body: dict[str, Any] | None


def judge(http: EmrHttp, what: str, type_: str, answer: Answer, *, sent_id: str | None) -> WriteResult:
    """`sent_id` is None for a create. Raises WriteConflict, EmrBusy, EmrRefused, WriteOutcomeUnknown."""
    if answer.status in _DONE:
        return _done(type_, answer, sent_id, _place(http, what, answer))
    raise _not_done(http, what, answer)


def judge_operation(http: EmrHttp, what: str, answer: Answer) -> int:
    """The status of an operation that was done, whatever it answers but an OperationOutcome with an error.
    Raises what `judge` raises."""
    if answer.status in _DONE or answer.status == 202:
        _, readable = _body("OperationOutcome", answer)
        if readable:
            return answer.status
        raise WriteOutcomeUnknown(f"{_place(http, what, answer)}, with an answer that says no such thing")
    raise _not_done(http, what, answer)


def _place(http: EmrHttp, what: str, answer: Answer) -> str:
    return f"{http.host} answered {answer.status} to {what}"


def _not_done(http: EmrHttp, what: str, answer: Answer) -> EmrError:
    status, place = answer.status, _place(http, what, answer)
    if status in _CONFLICT:
        return WriteConflict(f"{place}: it was changed since we read it, or there are several")
    wait = retry_after(answer.headers)
    if status == 429 or (status == 503 and wait is not None):
        return EmrBusy(f"{place}: it takes no more for now", retry_after=wait)
    if status == 501 or (400 <= status < 500 and status != 408):
        return http.refusal(what, answer)
    return WriteOutcomeUnknown(f"{place}: it may have been done")


def _done(type_: str, answer: Answer, sent_id: str | None, place: str) -> WriteResult:
    body, readable = _body(type_, answer)
    id_, version = _location(type_, answer.headers.get("location", ""))
    id_ = sent_id or id_ or (body or {}).get("id")
    if not id_ or (sent_id and not readable):
        raise WriteOutcomeUnknown(f"{place}, but what came with it does not say what was done")
    etag = answer.headers.get("etag")
    known = version or _version_in(etag) or _meta_version(body)
    return WriteResult(status=answer.status, id=str(id_), version=known, etag=etag, body=body)


def _body(type_: str, answer: Answer) -> tuple[dict[str, Any] | None, bool]:
    """The resource in the body, if it is one, and whether the body is one that a FHIR server sends
    after a success: the resource, nothing, or an OperationOutcome without an error."""
    if answer.body is not None and not answer.body.strip():
        return None, True
    try:
        body = answer.json()
    except NotFhir:
        return None, False
    if not isinstance(body, dict):
        return None, False
    if body.get("resourceType") == "OperationOutcome":
        return None, not any(_is_error(issue) for issue in body.get("issue") or [])
    ours = body.get("resourceType") == type_
    return (body if ours else None), ours


def _is_error(issue: Any) -> bool:
    return isinstance(issue, dict) and issue.get("severity") in ("error", "fatal")


def _location(type_: str, location: str) -> tuple[str | None, str | None]:
    """Id and version in a Location: absolute or relative, with or without _history. Its host does
    not matter: behind a gateway it is often the inner one."""
    found = re.search(rf"(?:^|/){type_}/([^/?#]+)(?:/_history/([^/?#]+))?/?$", location.strip())
    return (found[1], found[2]) if found else (None, None)


def _version_in(etag: str | None) -> str | None:
    found = re.fullmatch(r'(?:W/)?"(.+)"', (etag or "").strip())
    return found[1] if found else None


def _meta_version(body: dict[str, Any] | None) -> str | None:
    meta = (body or {}).get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None
