"""What the server says: an answer with its headers, or a refusal with an OperationOutcome."""

from __future__ import annotations

from dataclasses import dataclass, field

from cm_service.errors import CmError
from cm_service.sandbox.store import Version
from cm_service.sandbox.wire import Resource, encode, etag, http_date


class Refusal(CmError):
    """A request that this server does not carry out; `code` is an OperationOutcome issue type."""

    def __init__(self, status: int, code: str, diagnostics: str, *, allow: str = "") -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.allow = allow

    @property
    def answer(self) -> Answer:
        headers = {"Allow": self.allow} if self.allow else {}
        return Answer(self.status, encode(outcome("error", self.code, str(self))), headers)


@dataclass(frozen=True)
class Answer:
    """Status, JSON body and headers; `version` is what was read or written, for Bundle entries."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    version: Version | None = None


def outcome(severity: str, code: str, diagnostics: str) -> Resource:
    issue = {"severity": severity, "code": code, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def version_answer(version: Version) -> Answer:
    """200 with one version and its ETag and Last-Modified."""
    return Answer(200, version.body, version_headers(version), version)


def version_headers(version: Version) -> dict[str, str]:
    return {"ETag": etag(version.number), "Last-Modified": http_date(version.updated)}


def written_answer(status: int, version: Version, *, base: str, preference: str) -> Answer:
    """The answer to a create or update, with as much body as `Prefer: return=` asked for."""
    location = f"{base}/{version.key}/_history/{version.number}"
    headers = {**version_headers(version), "Location": location}
    if preference == "minimal":
        return Answer(status, b"", headers, version)
    if preference == "OperationOutcome":
        body = encode(outcome("information", "informational", "stored"))
        return Answer(status, body, headers, version)
    return Answer(status, version.body, headers, version)
