"""What a token endpoint answers (RFC 6749, section 5): a token, or which kind of no."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from cm_service.errors import NotFhir
from cm_service.fhir.answers import Answer

# SMART recommends 300 s; where nothing usable is said, a token is not trusted longer.
USUAL_SECONDS, LONGEST_SECONDS = 300.0, 3600.0
_TOKEN = re.compile(r"[\x21-\x7e]{1,20000}")
# The words of the specifications alone: others could hold anything, and these are logged and shown.
_ERRORS = frozenset(
    {
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client"),
        *("unsupported_grant_type", "invalid_scope", "invalid_target", "temporarily_unavailable"),
    }
)


class Token(NamedTuple):
    """`header` is the value for Authorization, `scope` None where the answer does not say what is
    granted, `seconds` how long the token may be used."""

    header: str
    scope: str | None
    seconds: float


def token_in(answer: Answer) -> Token:
    """Raises NotFhir where the answer holds none that can be used."""
    body = _body(answer)
    token, kind, scope = body.get("access_token"), body.get("token_type", "bearer"), body.get("scope")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise NotFhir("the answer holds no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NotFhir("the answer holds a token of a kind that is not bearer")
    granted = scope if isinstance(scope, str) else None
    return Token(f"Bearer {token}", granted, seconds_of(body.get("expires_in")))


def seconds_of(given: Any) -> float:
    """Seconds as a number or as its digits in a text; anything else says nothing."""
    try:
        seconds = math.nan if isinstance(given, bool | None) else float(given)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    return min(seconds, LONGEST_SECONDS) if seconds > 0 else USUAL_SECONDS


def error_in(answer: Answer) -> str:
    """The error's code, "" where it is none of the specifications'."""
    try:
        code = _body(answer).get("error")
    except NotFhir:
        return ""
    return code if isinstance(code, str) and code in _ERRORS else ""


def _body(answer: Answer) -> dict[str, Any]:
    body = answer.json()
    if not isinstance(body, dict):
        raise NotFhir("the answer of the token endpoint is no JSON object")
    return body
