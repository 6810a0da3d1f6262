"""Scopes of our own tokens: SMART `system/` scopes, version 1 (`.read`) and version 2 (`.rs`).

What is granted is never more than what was registered and never more than what was asked. The one
granular form that is understood is a confidentiality label (`?_security=system|code`): it opens records
under that label and narrows nothing else; every other `?...` is refused rather than widened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from cm_service.errors import BadInput
from cm_service.rules.confidential import LABELS

LONGEST = 4096
RIGHTS = "cruds"
# The types under which our own things are reached; a connection is an Endpoint, a ledger row a Provenance.
TYPES = (
    "AuditEvent CarePlan Communication Consent Encounter Endpoint Goal Patient Provenance ServiceRequest Task"
).split()
_WORD = re.compile(r"system/(\*|[A-Z][A-Za-z]{1,40})\.(\*|read|write|c?r?u?d?s?)(?:\?_security=(\S{1,200}))?")
_VERSION_1 = {"*": RIGHTS, "read": "rs", "write": "cud"}


@dataclass(frozen=True, slots=True)
class Grant:
    """`rights` on one type ("*" for all), for records without a label, or under `label` only."""

    type: str
    rights: str
    label: str = ""

    def __str__(self) -> str:
        label = f"?_security={self.label}" if self.label else ""
        return f"system/{self.type}.{self.rights}{label}"

    def covers(self, type_: str, right: str, label: str = "") -> bool:
        return self.type in ("*", type_) and right in self.rights and self.label == label


def parse(text: str) -> tuple[Grant, ...]:
    """Every scope of a list separated by spaces. Raises BadInput for one that is not understood."""
    if len(text) > LONGEST:
        raise BadInput("the scope is too long")
    words = text.split()
    if not words:
        raise BadInput("a scope is needed, such as system/*.rs")
    return tuple(dict.fromkeys(_grant(word) for word in words))


def _grant(word: str) -> Grant:
    found = _WORD.fullmatch(word)
    if found is None or not found[2]:
        raise BadInput(
            "a scope is not understood: system/<Type>.<cruds> in this order is, or .read and .write"
        )
    type_, rights, label = found[1], _VERSION_1.get(found[2], found[2]), found[3] or ""
    if type_ != "*" and type_ not in TYPES:
        raise BadInput(f"there is nothing of this type here; known are {', '.join(TYPES)}")
    if label and label not in LABELS:
        raise BadInput("of granular scopes only _security with a known label is understood")
    return Grant(type_, rights, label)


def narrowed(asked: Iterable[Grant], registered: Iterable[Grant]) -> tuple[Grant, ...]:
    """What may be given of what was asked: the overlap with each registered grant."""
    registered = tuple(registered)
    found: dict[tuple[str, str], set[str]] = {}
    for want in asked:
        for have in registered:
            type_ = _overlap(want.type, have.type)
            rights = set(want.rights) & set(have.rights)
            if type_ and rights and want.label == have.label:
                found.setdefault((type_, want.label), set()).update(rights)
    return tuple(
        Grant(type_, "".join(right for right in RIGHTS if right in rights), label)
        for (type_, label), rights in sorted(found.items())
    )


def _overlap(one: str, other: str) -> str:
    if one == "*" or one == other:
        return other
    return one if other == "*" else ""


def written(grants: Iterable[Grant]) -> str:
    return " ".join(map(str, grants))


def may(grants: Iterable[Grant], type_: str, right: str) -> bool:
    return any(grant.covers(type_, right) for grant in grants)


def labels(grants: Iterable[Grant], type_: str, right: str) -> frozenset[str]:
    """The codes of the confidentiality labels whose records these grants open as well."""
    grants = tuple(grants)
    return frozenset(
        code for label, code in LABELS.items() if any(grant.covers(type_, right, label) for grant in grants)
    )
