"""What is promised: /metadata, the token's scopes, the vendor profile. Three of the four facts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from cm_service.db import passport as rows
from cm_service.fhir.capability import Capability
from cm_service.fhir.scopes import granted
from cm_service.fhir.vendor import Answer, Profile, Verb
from cm_service.flow.ours import KINDS
from cm_service.flow.passport.proofs import RECHECK, changed
from cm_service.flow.wanted import CODED, WHOLE

READ_ONLY = tuple(sorted({*WHOLE, *CODED} - {*KINDS, "Encounter"}))
WRITTEN = (
    *(*KINDS, "Encounter"),
    *("QuestionnaireResponse", "DocumentReference", "Communication"),
)
_WRITES = (Verb.CREATE, Verb.UPDATE, Verb.PATCH)
_READS = (Verb.READ, Verb.SEARCH)
PAIRS = (
    *((type_, verb) for type_ in (*READ_ONLY, *WRITTEN) for verb in _READS),
    *((type_, Verb.HISTORY) for type_ in (*WHOLE, *CODED)),
    *((type_, verb) for type_ in WRITTEN for verb in _WRITES),
    *(("Subscription", verb) for verb in (Verb.CREATE, Verb.UPDATE)),
    ("MeasureReport", Verb.SUBMIT_CARE_GAPS),
)
_INTERACTION = {Verb.SEARCH: "search-type"}
_WORDS = {"declared": "declared in /metadata", "granted": "granted by the token", "allowed": "allowed"}


def searched_by(resource: str) -> tuple[str, ...]:
    """The parameters, beside `_lastUpdated`, by which we ever search this type."""
    used = {
        "patient": resource != "Patient",
        "code": resource in CODED,
        "identifier": resource in WRITTEN,
    }
    return tuple(name for name, is_used in used.items() if is_used)


def record(
    connection: sa.Connection,
    *,
    emr: str,
    capability: Capability,
    scope: str | None,
    profile: Profile,
    now: dt.datetime,
) -> None:
    """Note what is promised now, of every pair that matters and of every one that is known; differences
    from what the passport said become changes. A promise that came back takes an old refusal with it."""
    known = {(row.resource, row.verb): dict(row._mapping) for row in rows.verbs(connection, emr, lock=True)}
    saved: list[dict[str, Any]] = []
    texts: list[str] = []
    for resource, verb in sorted({*PAIRS, *known}):
        old = known.get((resource, verb))
        promised = _promised(resource, verb, capability, scope, profile, now)
        new = (old or rows.blank(emr, resource, verb)) | promised
        if old is not None:
            new["refusals"] = 0 if any(_came(old, new)) else old["refusals"]
            standing = changed(old, new)
            texts += [standing] if standing else _differences(old, new)
        saved.append(new)
    rows.save_verbs(connection, saved)
    rows.add_changes(connection, emr, texts, at=now)
    rows.drop_fact(connection, emr, "", RECHECK)


def _promised(
    resource: str, verb: str, capability: Capability, scope: str | None, profile: Profile, now: dt.datetime
) -> dict[str, Any]:
    allowed = profile.allows(resource, verb)
    said = granted(scope, resource, verb)
    return {
        "declared": str(declared(capability, resource, verb)),
        "declared_at": now,
        "granted": str(said),
        "granted_at": now if said != Answer.UNKNOWN else None,
        "allowed": str(allowed.answer),
        "allowed_on": profile.date if profile.name else None,
        "allowed_note": allowed.note,
    }


def declared(capability: Capability, resource: str, verb: str) -> Answer:
    """Unknown where /metadata names no type at all: such a statement says nothing, it denies nothing."""
    if not capability.types:
        return Answer.UNKNOWN
    of_type = capability.of(resource)
    if verb.startswith("$"):
        found = verb.removeprefix("$") in of_type.operations
    else:
        found = _INTERACTION.get(Verb(verb), verb) in of_type.interactions
    return Answer.YES if found else Answer.NO


def _came(old: dict[str, Any], new: dict[str, Any]) -> Iterator[bool]:
    for name in _WORDS:
        yield new[name] == Answer.YES and old[name] == Answer.NO
    yield new["allowed"] == Answer.YES and old["allowed"] != Answer.YES


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Promises that are no longer what they were, where both are known."""
    for name, words in _WORDS.items():
        if old[name] != new[name] and rows.UNKNOWN not in (old[name], new[name]):
            was, now_is = ("" if said[name] == Answer.YES else "not " for said in (old, new))
            yield f"{new['resource']} {new['verb']}: was {was}{words}, now is {now_is}{words}"
