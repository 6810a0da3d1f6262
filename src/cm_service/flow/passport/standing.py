"""What the passport says: may this verb be tried on this type here, and what does the EMR do with it?

A pure reading of stored rows. Proof by use beats what /metadata declares, in both directions; the
vendor's word and the token's scopes beat everything, because what they forbid must not even be tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa

from cm_service.db import passport as rows
from cm_service.fhir.vendor import Answer, Precondition, Profile

# One refusal on a verb that has worked may be about one patient; so many in a row are about us.
REFUSALS = 3
# Fresh writes that a search must have shown, with none missed, before "not found" means "not there".
SIGHTINGS = 3
_OF_THE_VERB = frozenset({404, 405, 501})  # 404 is noted for a type only: see `proofs`

READ_AFTER_WRITE, ETAG, VERSION = "read-after-write", "stale-if-match", "version"
LAST_UPDATED, IDENTIFIERS = "last-updated", "identifiers"


class State(StrEnum):
    PROVEN = "proven"
    UNTRIED = "not disproven"
    DISPROVEN = "disproven"


class Standing(NamedTuple):
    """`reason` is a sentence for people."""

    state: State
    reason: str


class Passport:
    """One EMR's passport as it was when it was read."""

    def __init__(self, verbs: Iterable[Any], facts: Iterable[Any], profile: Profile) -> None:
        self.profile = profile
        self.verbs = {(row.resource, row.verb): row for row in verbs}
        self.facts = {(row.resource, row.name): row for row in facts}

    def effective(self, resource: str, verb: str) -> Standing:
        """Proven, disproven, or neither: then it may be tried, by one canary first."""
        row = self.verbs.get((resource, verb))
        if row is not None:
            return standing(row)
        said = self.profile.allows(resource, verb)
        if said.answer == Answer.NO:
            return Standing(State.DISPROVEN, _forbidden(self.profile.date, said.note))
        return Standing(State.UNTRIED, "nothing is known of it")

    def value(self, resource: str, name: str) -> str:
        """A fact in one word, "unknown" where nobody has seen it."""
        row = self.facts.get((resource, name))
        return row.value if row is not None else rows.UNKNOWN

    def filters(self, resource: str, parameter: str) -> str:
        """filters, ignored, refused or unknown: does this search parameter select anything here?"""
        return self.value(resource, f"filter:{parameter}")

    def sees_fresh_writes(self, resource: str) -> State:
        """Does a search show what was written just before? Proven only by several sightings and no miss;
        a holding tank disproves it without any look."""
        if resource in self.profile.holding_tank:
            return State.DISPROVEN
        found = self.value(resource, READ_AFTER_WRITE)
        return {"proven": State.PROVEN, "missed": State.DISPROVEN}.get(found, State.UNTRIED)

    def precondition(self, resource: str) -> Precondition:
        """How an update here names the version that it replaces. NONE: read, compare, write, read back.

        A version that nobody has seen refused when stale is sent all the same, and believed by nobody:
        then `etag_is_true` is not PROVEN and the update is read back too."""
        if self.profile.precondition != Precondition.UNKNOWN:
            return self.profile.precondition
        lies = self.etag_is_true(resource) == State.DISPROVEN
        useless = lies or self.value(resource, VERSION) == "none"
        return Precondition.NONE if useless else Precondition.ETAG

    def etag_is_true(self, resource: str) -> State:
        """Does the EMR really refuse an update that names an old version? One that ignored it on any type
        is trusted on none."""
        seen = {row.value for (_, name), row in self.facts.items() if name == ETAG}
        found = "ignored" if "ignored" in seen else self.value(resource, ETAG)
        return {"refused": State.PROVEN, "ignored": State.DISPROVEN}.get(found, State.UNTRIED)

    def keeps_identifiers(self, resource: str) -> Answer:
        """Does what was read back carry the identifier that we sent? Else the visible line must do."""
        found = self.value(resource, IDENTIFIERS)
        return {"kept": Answer.YES, "lost": Answer.NO}.get(found, self.profile.identifiers_kept.answer)


def load(connection: sa.Connection, emr: str, profile: Profile) -> Passport:
    return Passport(rows.verbs(connection, emr), rows.facts(connection, emr), profile)


def standing(row: Any) -> Standing:
    """Of one row of `passport_verb`."""
    if row.allowed == Answer.NO:
        return Standing(State.DISPROVEN, _forbidden(row.allowed_on, row.allowed_note))
    if row.granted == Answer.NO:
        return Standing(State.DISPROVEN, f"the token of {_day(row.granted_at)} does not grant it")
    refused = f"refused with {row.refused_status} on {_day(row.refused_at)}"
    if refusal_counts(row):
        return Standing(State.DISPROVEN, refused)
    if row.worked_at is not None:
        doubt = f", then {refused}" if row.refusals else ""
        return Standing(State.PROVEN, f"worked with {row.worked_status} on {_day(row.worked_at)}{doubt}")
    if row.declared == Answer.NO:
        return Standing(State.DISPROVEN, f"/metadata of {_day(row.declared_at)} does not declare it")
    return Standing(
        State.UNTRIED, "declared, and not yet tried" if row.declared == Answer.YES else "not tried"
    )


def refusal_counts(row: Any) -> bool:
    if not row.refusals:
        return False
    about_the_verb = row.refused_status in _OF_THE_VERB or row.worked_at is None
    return about_the_verb or row.refusals >= REFUSALS


def _forbidden(date: str | None, note: str) -> str:
    return f"the vendor profile ({date}) says no" + (f": {note}" if note else "")


def _day(moment: Any) -> str:
    return moment.date().isoformat() if moment is not None else "an unknown day"
