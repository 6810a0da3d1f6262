"""What came back over HTTP: the body within its cap, gunzipped by us, and what it says when it says no."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx

from cm_service.errors import AnswerTooBig, NotFhir
from cm_service.fhir import rawjson

_GZIP = 16 + zlib.MAX_WBITS
_OUTCOME_CHARACTERS = 2000


class Answer(NamedTuple):
    """`body` is None when the headers of a write arrived and its body did not."""

    status: int
    headers: httpx.Headers
    body: bytes | None

    def json_bytes(self) -> bytes:
        """The body, known to be UTF-8 and neither empty nor a page of HTML. Raises NotFhir."""
        if self.body is None:
            raise NotFhir("the body did not arrive")
        if "html" in self.headers.get("content-type", "").lower() or self.body.lstrip()[:1] == b"<":
            raise NotFhir("the body is an HTML page (of a proxy, or a login?)")
        return rawjson.clean(self.body)

    def json(self) -> Any:
        """The body as dicts and lists, decimals kept. Raises NotFhir."""
        return rawjson.loads(self.json_bytes())


async def read_body(response: httpx.Response, *, limit: int) -> bytes:
    """The whole body, at most `limit` bytes of it after gunzipping.

    httpx would gunzip a chunk of any size before anybody could count it, so it hands us the raw
    bytes. Raises AnswerTooBig, NotFhir, httpx.TransportError."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise NotFhir("the body has a content encoding that we did not ask for")
    chunks = response.aiter_raw()
    if encoding.endswith("gzip"):
        chunks = _gunzip(chunks, limit)
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise AnswerTooBig(f"the body is larger than {limit} bytes")
    return bytes(body)


async def _gunzip(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    unzip, size = zlib.decompressobj(_GZIP), 0
    try:
        async for chunk in chunks:
            plain = unzip.decompress(chunk, limit - size + 1)
            size += len(plain)
            yield plain
    except zlib.error:
        raise NotFhir("the gzip body is broken") from None
    if not unzip.eof or unzip.unused_data:
        raise NotFhir("the gzip body was cut")


def outcome_text(answer: Answer) -> str:
    """The words of an OperationOutcome, "" if there are none. May hold PHI: for the ledger only."""
    return "; ".join(filter(None, map(_issue_text, _issues(answer))))[:_OUTCOME_CHARACTERS]


def issue_codes(answer: Answer) -> frozenset[str]:
    """The codes of an OperationOutcome's issues that FHIR itself gives (IssueType)."""
    return frozenset(str(issue.get("code")) for issue in _issues(answer))


def outcome_codes(answer: Answer) -> frozenset[str]:
    """The codes in the details of an OperationOutcome: vendors' own numbers."""
    return frozenset(str(code) for issue in _issues(answer) for code in _codes(issue) if code)


def _issues(answer: Answer) -> list[dict[str, Any]]:
    try:
        body = answer.json()
    except NotFhir:
        return []
    if not isinstance(body, dict) or body.get("resourceType") != "OperationOutcome":
        return []
    return [issue for issue in body.get("issue") or [] if isinstance(issue, dict)]


def _codes(issue: dict[str, Any]) -> list[Any]:
    details = issue.get("details")
    concept = details if isinstance(details, dict) else {}
    return [c.get("code") for c in concept.get("coding") or [] if isinstance(c, dict)]


def _issue_text(issue: dict[str, Any]) -> str:
    details = issue.get("details")
    text = details.get("text") if isinstance(details, dict) else None
    parts = (issue.get("severity"), issue.get("code"), *_codes(issue), text, issue.get("diagnostics"))
    return " ".join(str(part) for part in parts if part)
