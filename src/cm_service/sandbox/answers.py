"""What the server says: an answer with its headers, or a refusal with an OperationOutcome."""

from __future__ import annotations

from dataclasses import dataclass, field

from cm_service.errors import CmError
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import Resource, encode


class Refusal(CmError):
    """A request that this server does not carry out; `code` is an OperationOutcome issue type.

    `detail`: the vendor's own number for it. `bare`: no body at all.
    """

    def __init__(
        self,
        status: int,
        code: str,
        diagnostics: str,
        *,
        allow: str = "",
        detail: str = "",
        bare: bool = False,
    ) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.allow = allow
        self.detail = detail
        self.bare = bare

    @property
    def answer(self) -> Answer:
        headers = {"Allow": self.allow} if self.allow else {}
        body = b"" if self.bare else encode(outcome("error", self.code, str(self), detail=self.detail))
        return Answer(self.status, body, headers)


@dataclass(frozen=True)
class Answer:
    """Status, JSON body and headers; `version` is what was read or written, for Bundle entries.

    `shows` are the versions that the client gets to see in the body.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    version: Version | None = None
    shows: tuple[Version, ...] = ()


def outcome(severity: str, code: str, diagnostics: str, *, detail: str = "") -> Resource:
    issue: Resource = {"severity": severity, "code": code, "diagnostics": diagnostics}
    if detail:
        issue["details"] = {"coding": [{"code": detail}], "text": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}
