"""Which rung an intent goes to: the highest that is not disproven. A pure choice, from what is known.

Rungs from the highest: the EMR's own Task, CarePlan and Goal; its inlet for care gaps; a form; a note;
a message; our own store, where the page is the view. What no EMR can take back waits for a person in
write mode `propose`. A rung that nobody has seen work is tried with one intent, the canary, while the
others wait. An intent that stands on a low rung climbs only to one that is proven.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from enum import StrEnum
from typing import NamedTuple

from cm_service.errors import BadInput
from cm_service.fhir import vendor
from cm_service.fhir.vendor import Answer, Profile
from cm_service.flow.passport.standing import Passport, State
from cm_service.flow.rungs import form, note, own


class Rung(StrEnum):
    """As placements name them, from the highest."""

    NATIVE = "native"
    CARE_GAP = "care-gap"
    FORM = "questionnaire-response"
    NOTE = "document-reference"
    MESSAGE = "communication"
    OWN = "own-store"


class Meaning(StrEnum):
    """What an intent is to people; a contact is what a person did: a call, an attempt, a consent."""

    ELIGIBLE = "eligible or referred"
    PLAN = "care plan with goals"
    FOLLOW_UP = "follow-up task"
    CONTACT = "contact"


ORDER = tuple(Rung)
# A care gap is a finding about a patient, not a thing to be done after a stay.
_NO_GAP = tuple(rung for rung in ORDER if rung != Rung.CARE_GAP)
_NO_FORM = tuple(rung for rung in _NO_GAP if rung != Rung.FORM)
RUNGS = {
    Meaning.ELIGIBLE: ORDER,
    Meaning.PLAN: _NO_GAP,
    Meaning.FOLLOW_UP: _NO_GAP,
    Meaning.CONTACT: _NO_FORM,
}
_FINDINGS = frozenset({"A1C-OUT", "A1C-OVERDUE", "A1C-NODX", "CHR-MULTI", "ED-OVERUSE"})

# The native types that an intent of this meaning may need.
KINDS: Mapping[Meaning, tuple[str, ...]] = {
    Meaning.ELIGIBLE: ("Task",),
    Meaning.PLAN: ("CarePlan", "Goal"),
    Meaning.FOLLOW_UP: ("Task",),
    Meaning.CONTACT: ("Encounter",),
}

Verb = tuple[str, str]  # resource type, verb: a row of the passport
_VERBS: Mapping[Rung, Verb] = {
    Rung.CARE_GAP: ("MeasureReport", vendor.Verb.SUBMIT_CARE_GAPS),
    Rung.FORM: ("QuestionnaireResponse", vendor.Verb.CREATE),
    Rung.NOTE: ("DocumentReference", vendor.Verb.CREATE),
    Rung.MESSAGE: ("Communication", vendor.Verb.CREATE),
}


class NoteEncounter(StrEnum):
    """Which encounter a note hangs on: none, the stay that the intent is about, or an open one."""

    NONE = "none"
    DISCHARGE_STAY = "discharge-stay"
    OPEN = "open"


class WriteSettings(NamedTuple):
    """What the operator decided for one EMR (`emr set`)."""

    note_encounter: NoteEncounter = NoteEncounter.NONE
    questionnaire: str = ""
    recipient: str = ""


SETTINGS = frozenset({"note-encounter", "form-questionnaire", "message-recipient"})


def write_settings_of(settings: Mapping[str, str]) -> WriteSettings:
    """Among the settings of a connection. Raises BadInput, naming what may stand there."""
    where = settings.get("note-encounter") or NoteEncounter.NONE
    if where not in set(NoteEncounter):
        raise BadInput(f"note-encounter takes one of {', '.join(NoteEncounter)}")
    form, recipient = settings.get("form-questionnaire", ""), settings.get("message-recipient", "")
    if form and not re.fullmatch(r"(https?://|urn:)\S+|Questionnaire/\S+", form):
        raise BadInput("form-questionnaire takes the canonical URL of a questionnaire in this EMR")
    if recipient and not re.fullmatch(r"[A-Z][A-Za-z]+/[A-Za-z0-9.\-]+", recipient):
        raise BadInput("message-recipient takes a reference such as Practitioner/ID or Organization/ID")
    return WriteSettings(NoteEncounter(where), form, recipient)


class Wanted(NamedTuple):
    """One intent, with its plan's goals, as far as the choice depends on it. `kinds` are the native types
    that it needs; `encounter` the one that a note of it would hang on; `refused` the rungs that this
    very intent was refused on with 403, 404, 405 or 501, with the sentence."""

    meaning: Meaning
    kinds: tuple[str, ...]
    accepted: bool = False
    encounter: str | None = None
    refused: Mapping[Rung, str] = {}


class World(NamedTuple):
    """One EMR as it is known now. `out`: verbs whose canary has no answer yet."""

    passport: Passport
    settings: WriteSettings
    propose: bool
    out: Set[Verb] = frozenset()


class Choice(NamedTuple):
    """`reason` says why it is not a higher rung, "" on the highest; `waits`: it may not be sent yet,
    since the canary of its rung has no answer."""

    rung: Rung
    reason: str = ""
    waits: bool = False


def meaning_of(kind: str, rule: str) -> Meaning:
    if kind in ("CarePlan", "Goal"):
        return Meaning.PLAN
    if kind != "Task":
        return Meaning.CONTACT
    return Meaning.ELIGIBLE if rule in _FINDINGS else Meaning.FOLLOW_UP


def verbs_of(rung: Rung, kinds: tuple[str, ...]) -> tuple[Verb, ...]:
    """What a rung is proven by; nothing for our own store."""
    if rung == Rung.NATIVE:
        return tuple((kind, str(vendor.Verb.CREATE)) for kind in kinds)
    return (_VERBS[rung],) if rung in _VERBS else ()


def choose(wanted: Wanted, world: World) -> Choice:
    """Where an intent goes that stands nowhere in the EMR yet."""
    obstacles: list[tuple[str, str]] = []
    for rung in RUNGS[wanted.meaning]:
        if rung == Rung.OWN:
            break
        why = obstacle(rung, wanted, world)
        if why:
            obstacles.append((rung, why))
            continue
        if world.propose and not wanted.accepted and not can_take_back(rung, world.passport):
            obstacles.append((rung, own.waits_for_acceptance(rung)))
            break
        degraded = "; ".join(f"{above}: {sentence}" for above, sentence in obstacles)
        return Choice(rung, degraded, waits=_waits(verbs_of(rung, wanted.kinds), world))
    return Choice(Rung.OWN, own.reason(obstacles))


def climbs(standing_on: Rung, wanted: Wanted, world: World) -> Rung | None:
    """The highest proven rung above the one on which it stands in the EMR, None where there is none or
    where the lower one could not be closed afterwards."""
    if not can_be_closed(standing_on, world.passport):
        return None
    for rung in RUNGS[wanted.meaning]:
        if rung == standing_on:
            return None
        if obstacle(rung, wanted, world) or not _is_proven(rung, wanted.kinds, world.passport):
            continue
        if world.propose and not wanted.accepted and not can_take_back(rung, world.passport):
            continue
        return rung
    return None


def obstacle(rung: Rung, wanted: Wanted, world: World) -> str:
    """Why this rung is not there for this intent, "" where it may be tried."""
    return next(_obstacles(rung, wanted, world), "")


def can_take_back(rung: Rung, passport: Passport) -> bool:
    """Can what stands on this rung be changed or withdrawn by us? A note where the EMR updates notes."""
    if rung == Rung.NATIVE:
        return True
    return rung == Rung.NOTE and note_can_be_updated(passport)


def can_be_closed(rung: Rung, passport: Passport) -> bool:
    """Can what stands there be marked as superseded, so that something higher may take its place?"""
    if rung == Rung.FORM:
        said = passport.profile.allows(form.TYPE, vendor.Verb.UPDATE).answer
        return _is_updated(form.TYPE, said, passport)
    return rung == Rung.NOTE and note_can_be_updated(passport)


def note_can_be_updated(passport: Passport) -> bool:
    return _is_updated(note.TYPE, passport.profile.note.update, passport)


def _is_updated(type_: str, said: Answer, passport: Passport) -> bool:
    """Proven by use, or the vendor says so; a declaration alone proves nothing (Epic's has no
    specification)."""
    found = passport.effective(type_, vendor.Verb.UPDATE).state
    return found == State.PROVEN or (said == Answer.YES and found != State.DISPROVEN)


def _obstacles(rung: Rung, wanted: Wanted, world: World) -> Iterator[str]:
    if said := wanted.refused.get(rung):
        yield said
    profile = world.passport.profile
    answer = _said(rung, wanted.kinds, profile)
    if answer.answer == Answer.NO:
        yield f"the vendor profile ({profile.date}) says no{f': {answer.note}' if answer.note else ''}"
    for resource, verb in verbs_of(rung, wanted.kinds):
        standing = world.passport.effective(resource, verb)
        if standing.state == State.DISPROVEN:
            yield f"{resource} {verb}: {standing.reason}"
    if rung == Rung.FORM and not world.settings.questionnaire:
        yield "no questionnaire is set (form-questionnaire)"
    if rung == Rung.NOTE:
        yield from _of_notes(wanted, world)


def _of_notes(wanted: Wanted, world: World) -> Iterator[str]:
    rules = world.passport.profile.note
    if not note.takes_plain_text(rules):
        yield "it takes no plain text"
    if rules.encounter == Answer.YES and wanted.encounter is None:
        setting = world.settings.note_encounter
        if setting == NoteEncounter.NONE:
            yield "a note needs an encounter here, and none is set (note-encounter)"
        else:
            yield f"a note needs an encounter here, and there is none of this kind ({setting})"


def _said(rung: Rung, kinds: tuple[str, ...], profile: Profile) -> vendor.Said:
    """What the vendor says of the whole rung; of contacts as they are it says what it says of their verbs."""
    if rung != Rung.NATIVE:
        return profile.rung(vendor.Rung(rung))
    if "Task" in kinds:
        return profile.rung(vendor.Rung.TASK)
    return profile.rung(vendor.Rung.CARE_PLAN) if "CarePlan" in kinds or "Goal" in kinds else vendor.Said()


def _is_proven(rung: Rung, kinds: tuple[str, ...], passport: Passport) -> bool:
    return all(passport.effective(*verb).state == State.PROVEN for verb in verbs_of(rung, kinds))


def _waits(verbs: tuple[Verb, ...], world: World) -> bool:
    """Untried, and its canary is out. (A canary that was refused for what it said is none any more.)"""
    untried = {verb for verb in verbs if world.passport.effective(*verb).state != State.PROVEN}
    return not untried.isdisjoint(world.out)
