"""What a token's scopes grant: SMART App Launch, syntax of version 1 (`.write`) and of version 2 (`.cruds`).

Scopes are a promise of the authorisation server only: Epic's sandbox names all that an app is
registered for, whatever was asked.
"""

from __future__ import annotations

import re

from cm_service.fhir.vendor import Answer

_SCOPE = re.compile(r"(?:system|user)/(?P<type>\*|[A-Za-z]+)\.(?P<rights>\*|read|write|c?r?u?d?s?)(?:\?\S*)?")
_VERSION_1 = {"*": "cruds", "read": "rs", "write": "cud"}
_RIGHT = {"create": "c", "read": "r", "update": "u", "patch": "u", "search": "s"}


def granted(scope: str | None, resource: str, verb: str) -> Answer:
    """Unknown without scopes, and for an operation: no scope names one."""
    if scope is None or verb not in _RIGHT:
        return Answer.UNKNOWN
    for word in scope.split():
        found = _SCOPE.fullmatch(word)
        if found and found["type"] in ("*", resource):
            rights = _VERSION_1.get(found["rights"], found["rights"])
            if _RIGHT[verb] in rights:
                return Answer.YES
    return Answer.NO
