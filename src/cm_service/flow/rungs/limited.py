"""The rungs below the native one: a form, a note, a message, a care gap, and what they have in common.

What stands on them carries a text with our visible line, and is versioned in that line. Where it cannot
be changed, a changed intent is a new version that says which one it supersedes. Such resources are
searched by patient: few EMRs search them by identifier, and many drop ours.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from cm_service.db import ledger, placements
from cm_service.errors import EmrRefused, FilterDropped
from cm_service.fhir import rawjson
from cm_service.fhir.client import FhirClient, Held
from cm_service.fhir.writes import WriteResult
from cm_service.flow import encounters, ours, whose
from cm_service.flow.confidential import labelled
from cm_service.flow.ladder import Rung, WriteSettings, note_can_be_updated, write_settings_of
from cm_service.flow.ours import Json
from cm_service.flow.passport import Passport
from cm_service.flow.plans.board import is_retracted
from cm_service.flow.plans.due import stamp
from cm_service.flow.rungs import care_gap, communication, form, note
from cm_service.flow.rungs.copies import Copy, patient_of, text_in, values_in, version_of
from cm_service.flow.rungs.wording import Previous, core_in

_NO_SUCH_SEARCH = frozenset({400, 403, 404, 405, 422, 501})
_OVER = frozenset({"superseded", "entered-in-error"})
_DAY = 10  # characters of a date


class Around(NamedTuple):
    """What placing needs to know of the connection and of the night."""

    base: str
    zone: dt.tzinfo
    now: dt.datetime
    propose: bool
    settings: WriteSettings


def around_of(emr: Any, *, base: str, now: dt.datetime) -> Around:
    """Of a row of `emr`. Raises BadInput for a setting that means nothing."""
    return Around(
        base, ZoneInfo(emr.timezone), now, emr.write_mode != "auto", write_settings_of(emr.settings)
    )


class Limited(ABC):
    """What the four have in common; see `base.Rung` for what each method answers."""

    name: str
    type: str

    def __init__(self, client: FhirClient, around: Around, passport: Callable[[], Passport]) -> None:
        self._client, self._around, self._passport = client, around, passport

    @abstractmethod
    def _form(self, copy: Copy, row: Any) -> Json: ...

    def type_of(self, _row: Any) -> str:
        return self.type

    def build(self, connection: sa.Connection, row: Any) -> Json:
        """What was sent, as long as a nurse would learn nothing new; else the same in new words."""
        fresh = self._form(self._copy(connection, row), row)
        sent = _sent(row)
        return sent if sent is not None and is_the_same(sent, fresh) else fresh

    def is_guarded(self, _row: Any) -> bool:
        return False

    async def create(self, row: Any, resource: Json) -> WriteResult:
        return await self._client.create(labelled(resource, row.labels))

    async def read(self, _row: Any, id_: str) -> Held:
        return await self._client.held(self.type, id_)

    async def find(self, row: Any) -> list[Json] | None:
        """Copies of the version that was sent. Where it was the first, whatever version there is: an
        older store may have written it."""
        number, found = _number(row), await self._of_patient(row)
        if found is None:
            return None
        exact = [each for version, each in found if version == number]
        if exact or number > 1 or not found:
            return exact
        newest = max(version for version, _ in found)
        return [each for version, each in found if version == newest]

    async def values_about(self, patient_id: str) -> set[str] | None:
        """The identifier values of whatever of ours stands here about a patient, of this store or of an
        older one; None: it cannot be searched."""
        held = await self._about(patient_id)
        return None if held is None else {v for each in held for v in values_in(each, self._around.base)}

    async def _of_patient(self, row: Any) -> list[tuple[int, Json]] | None:
        held = await self._about(_patient(row))
        if held is None:
            return None
        told = [(version_of(each, row.system, row.value), each) for each in held]
        return [(number, each) for number, each in told if number is not None]

    async def _about(self, person: str) -> list[Json] | None:
        found: dict[Any, Json] = {}
        try:
            pages = self._client.search(
                self.type, [("patient", person)], headers={"Cache-Control": "no-cache"}
            )
            async for page in pages:
                for resource in map(rawjson.loads, page.resources):
                    if resource.get("status") not in _OVER:
                        found[resource.get("id")] = resource
        except FilterDropped:
            return None
        except EmrRefused as refusal:
            if refusal.status in _NO_SUCH_SEARCH:
                return None
            raise
        return list(found.values())

    def is_ours(self, row: Any, resource: Json) -> bool:
        return version_of(resource, row.system, row.value) is not None

    def can_update(self, _row: Any) -> bool:
        return False

    def closed(self, _current: Json) -> Json | None:
        return None

    def _copy(self, connection: sa.Connection, row: Any) -> Copy:
        wanted = rawjson.loads(row.wanted.encode())
        mates = ledger.of_patients(connection, row.emr, [row.patient_id]).get(row.patient_id, [])
        older, sent = placements.earlier(connection, row), _sent(row)
        number = version_of(sent, row.system, row.value) if sent else None
        return Copy(
            system=row.system,
            value=row.value,
            base=self._around.base,
            wanted=ours.materialise(wanted, lambda _: None),
            at=stamp(self._around.now, self._around.zone),
            goals=goals_of(wanted, mates),
            why=why_of(row.value, mates),
            number=number or (_latest(older) + 1 if older is not None else 1),
            previous=_previous(older) if older is not None else None,
            encounter=encounters.of_intent(connection, row, self._around.settings.note_encounter),
            draft=self._around.propose and not is_a_persons(row),
        )


class Note(Limited):
    """A DocumentReference; changed in place where this EMR updates notes."""

    name, type = Rung.NOTE, note.TYPE

    def _form(self, copy: Copy, row: Any) -> Json:
        built = note.build(copy, self._passport().profile.note)
        return note.closed(built) if copy.retracted and row.reference and self.can_update(row) else built

    def can_update(self, _row: Any) -> bool:
        return note_can_be_updated(self._passport())

    def closed(self, current: Json) -> Json | None:
        return note.closed(current)


class Form(Limited):
    """A QuestionnaireResponse."""

    name, type = Rung.FORM, form.TYPE

    def _form(self, copy: Copy, _row: Any) -> Json:
        return form.build(copy, self._around.settings.questionnaire)

    def closed(self, current: Json) -> Json | None:
        return form.closed(current)


class Message(Limited):
    """A Communication."""

    name, type = Rung.MESSAGE, communication.TYPE

    def _form(self, copy: Copy, _row: Any) -> Json:
        return communication.build(copy, self._around.settings.recipient or None)


class CareGap(Limited):
    """A MeasureReport through an inlet: nothing of it can be read or searched, so what was sent is all
    that is known, under the id that we gave it."""

    name, type = Rung.CARE_GAP, care_gap.TYPE

    def _form(self, copy: Copy, row: Any) -> Json:
        return care_gap.build(copy, row.rule)

    async def create(self, _row: Any, resource: Json) -> WriteResult:
        status = await self._client.operate(self.type, care_gap.OPERATION, care_gap.parameters(resource))
        return WriteResult(status=status, id=resource["id"], version=None, etag=None, body=resource)

    async def read(self, row: Any, _id: str) -> Held:
        return Held(_sent(row) or {}, None, None, None)

    async def find(self, _row: Any) -> list[Json] | None:
        return None

    async def values_about(self, _patient_id: str) -> set[str] | None:
        return None


def limited(client: FhirClient, around: Around, passport: Callable[[], Passport]) -> dict[str, Limited]:
    """The four, by name; `passport` gives that of the moment."""
    return {kind.name: kind(client, around, passport) for kind in (CareGap, Form, Note, Message)}


def is_a_persons(row: Any) -> bool:
    """Somebody took it, or ended it: it is no machine's proposal any more."""
    if row.accepted_at is not None:
        return True
    wanted = rawjson.loads(row.wanted.encode())
    return ours.is_closed(wanted) and not is_retracted(row.kind, wanted)


def is_the_same(sent: Json, fresh: Json) -> bool:
    """Would a nurse learn nothing new from the fresh one?"""
    if sent.get("status") != fresh.get("status"):
        return False
    return core_in(_words(sent)) == core_in(_words(fresh))


def goals_of(plan: Json, mates: list[Any]) -> list[Json]:
    """The Goals that travel inside this plan: those to which it links and that stand nowhere natively."""
    inside = ours.links(plan.get("goal"))
    carried = [row for row in mates if row.kind == "Goal" and row.value in inside and row.rung != Rung.NATIVE]
    return [rawjson.loads(row.wanted.encode()) for row in carried]


def why_of(value: str, mates: list[Any]) -> list[str]:
    """The texts of the open Tasks that are based on the plan with this identifier."""
    tasks = [rawjson.loads(row.wanted.encode()) for row in mates if row.kind == "Task"]
    mine = [task for task in tasks if value in ours.links(task.get("basedOn")) and not ours.is_closed(task)]
    return [str(task.get("description")) for task in mine]


def _sent(row: Any) -> Json | None:
    sent = whose.parsed(row.sent)
    return {name: value for name, value in sent.items() if value is not None} if sent else None


def _number(row: Any) -> int:
    return version_of(_sent(row) or {}, row.system, row.value) or 1


def _latest(row: Any) -> int:
    """The newest version that is known to stand there: an adopted one may be newer than what we sent."""
    known = (whose.parsed(row.current) or {}, _sent(row) or {})
    return max(version_of(each, row.system, row.value) or 1 for each in known)


def _previous(row: Any) -> Previous:
    sent = _sent(row) or {}
    day = str(sent.get("date") or sent.get("authored") or sent.get("sent") or row.created_at.isoformat())
    return Previous(_latest(row), day[:_DAY], row.reference)


def _patient(row: Any) -> str:
    return patient_of(rawjson.loads(row.wanted.encode())).partition("/")[2]


def _words(resource: Json) -> str:
    return text_in(resource)
