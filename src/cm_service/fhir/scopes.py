"""What a token's scopes grant: SMART App Launch, syntax of version 1 (`.write`) and of version 2 (`.cruds`).

Scopes are a promise of the authorisation server only: Epic's sandbox names all that an app is
registered for, whatever was asked.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from cm_service.fhir.vendor import Answer

_SCOPE = re.compile(r"(?:system|user)/(?P<type>\*|[A-Za-z]+)\.(?P<rights>\*|read|write|c?r?u?d?s?)(?:\?\S*)?")
_VERSION_1 = {"*": "cruds", "read": "rs", "write": "cud"}
_RIGHT = {"create": "c", "read": "r", "update": "u", "patch": "u", "search": "s", "history-type": "s"}


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


class Wanted(NamedTuple):
    """FHIR types that we read and search, and those that we also create and update."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()


def asked(wanted: Wanted, *, style: str) -> str:
    """The least that will do, in the syntax of `style` (v1 or v2)."""
    if style == "v2":
        words = [f"system/{type_}.rs" for type_ in wanted.reads - wanted.writes]
        words += [f"system/{type_}.crus" for type_ in wanted.writes]
    else:
        words = [f"system/{type_}.read" for type_ in wanted.reads | wanted.writes]
        words += [f"system/{type_}.write" for type_ in wanted.writes]
    return " ".join(sorted(words))


def missing(asked_scope: str, granted_scope: str | None) -> list[str]:
    """The words that were asked for and not granted in full, by what they mean; [] where nobody said."""
    if granted_scope is None:
        return []
    return [word for word in asked_scope.split() if not _covered(word, granted_scope)]


def are_smart(scope: str | None) -> bool:
    """Is there any word in it that names FHIR types?"""
    return any(_SCOPE.fullmatch(word) for word in (scope or "").split())


def may_read_all(scope: str | None, resource: str) -> bool:
    """False where the token says that a search of this type gives nothing, or only a part of it (a scope
    with `?`, SMART 2): what was read then proves nothing. True where nobody said."""
    return scope is None or not missing(f"system/{resource}.rs", scope)


def _covered(word: str, scope: str) -> bool:
    wanted = _SCOPE.fullmatch(word)
    if wanted is None:
        return word in scope.split()
    rights = set(_VERSION_1.get(wanted["rights"], wanted["rights"]))
    for each in scope.split():
        found = _SCOPE.fullmatch(each)
        if found and found["type"] in ("*", wanted["type"]) and ("?" not in each or each == word):
            rights -= set(_VERSION_1.get(found["rights"], found["rights"]))
    return not rights
