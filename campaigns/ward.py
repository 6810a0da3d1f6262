"""The EMR of one world of `make lost-changes`: small people, clinicians who never stop, and a server that is
many nodes, commits late and hands out pages as it likes."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import replace

from cm_service.flow.ours import Json
from cm_service.sandbox.declared import Paging, Personality
from cm_service.sandbox.nodes import NodeClocks
from cm_service.sandbox.personality import GENEROUS
from cm_service.sandbox.store import Store
from cm_service.sandbox.versions import Version

LATEST, APART, NODES = 120.0, 120.0, 3  # seconds that a commit is late, and that clocks are off
CHANGING = ("Patient", "Encounter", "Condition", "Observation", "Procedure", "Location")
PEOPLE, PLACES, OF_EACH = 12, 3, 4
_RUSH = 180.0
_DAYS = (180.0, 180.0, 1200.0, 7200.0, 25_200.0)  # seconds; so few that no week passes
_BEFORE = dt.timedelta(days=90)
_TERMS = "http://terminology.hl7.org/CodeSystem/"
_EACH_PAGE_ANEW = {"parameter": "_offset", "snapshot": False, "of_type": True}
PAGINGS = (
    Paging(),
    Paging(repeats=2),
    Paging(**_EACH_PAGE_ANEW),
    Paging(**_EACH_PAGE_ANEW, by_change=True),
    Paging(**_EACH_PAGE_ANEW, by_change=True, repeats=1, uneven=True),
)


class Ward:
    """`now` is the true time. Clocks of the server are off from it by up to `APART`, each node's by as much
    again; ours is the true one."""

    def __init__(self, seed: str, start: dt.datetime) -> None:
        self.rng = random.Random(seed)
        self.now = start - _BEFORE
        self.personality = personality(self.rng)
        off = self.rng.uniform(-APART, APART)
        offsets = [off + self.rng.uniform(-APART, APART) for _ in range(NODES)]
        clocks = NodeClocks(lambda: self.now, offsets, rng=random.Random(f"{seed}/nodes"))
        self.store = Store(clock=clocks, new_id=self._new_id, time=lambda: self.now)
        self._people: list[str] = []
        self.store.load(self._there())
        self.loaded = len(self.store.journal)
        self.now = start
        self.store.lateness = self._lateness

    @property
    def changes(self) -> int:
        return len(self.store.journal) - self.loaded

    def _new_id(self) -> str:
        return f"{self.rng.getrandbits(64):016x}"

    def _lateness(self) -> float:
        return self.rng.choice((0.0, 0.0, 1.0, LATEST)) * self.rng.random()

    # --- what is there, and what people do

    def _there(self) -> Iterator[Json]:
        for number in range(PLACES):
            yield {"resourceType": "Location", "id": f"room-{number}", "status": "active"}
        for number in range(PEOPLE):
            yield self._patient(f"p{number}")
        for who in list(self._people):
            for number in range(OF_EACH):
                yield from (make(f"{who}-{number}", who) for make in _MADE)

    def _patient(self, who: str) -> Json:
        self._people.append(who)
        return {"resourceType": "Patient", "id": who, "birthDate": "2001-05-01", "active": True}

    def pass_by(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    def day(self, rng: random.Random) -> None:
        """From one night to the next, most of its changes in the last minutes."""
        length = rng.choice(_DAYS)
        moments = [
            length - rng.random() * (_RUSH if rng.random() < 0.6 else length)
            for _ in range(rng.randint(15, 50))
        ]
        passed = 0.0
        for moment in sorted([*moments, length]):
            self.pass_by(moment - passed)
            passed = moment
            self.work(rng.choice((0, 1, 1, 3)))

    def work(self, count: int) -> None:
        """So many changes at one moment: equal timestamps, where they meet the same node."""
        for _ in range(count):
            self._change()

    def _change(self) -> None:
        chance = self.rng.random()
        if chance < 0.02:
            self._file(self._patient(self._new_id()))
        elif chance < 0.16:
            self._file(self.rng.choice(_MADE)(self._new_id(), self.rng.choice(self._people)))
        else:
            found = self.store.live(self.rng.choice(CHANGING))
            version = self.rng.choice(found)
            if chance < 0.18 and version.type not in ("Patient", "Location"):
                self.store.clinician_delete(version.type, version.id)
            else:
                self.store.clinician_edit(version.type, version.id, _touch)

    def _file(self, resource: Json) -> None:
        self.store.put(resource, type_=resource["resourceType"], id_=resource["id"], by="clinician")

    def visible(self, at: dt.datetime, kind: str) -> Iterator[Version]:
        """Of everything of a type that is there, the newest version that searches found at a moment."""
        for version in self.store.live(kind):
            for each in reversed(self.store.history(kind, version.id)):
                since = self.store.index.shows_from(each)
                if since is None or since <= at:
                    yield each
                    break


def personality(rng: random.Random) -> Personality:
    """As by the book of FHIR, with pages of some rows."""
    return replace(GENEROUS, max_count=rng.choice((5, 8, 40)), paging=rng.choice(PAGINGS))


def _touch(resource: Json) -> None:
    """A change that no rule minds: nobody needs to be judged otherwise for it."""
    resource["language"] = "en" if resource.get("language") != "en" else "de"


def _encounter(id_: str, who: str) -> Json:
    return {
        "resourceType": "Encounter",
        "id": f"e-{id_}",
        "status": "finished",
        "class": {"system": f"{_TERMS}v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{who}"},
        "period": {"start": "2025-02-01T10:00:00-05:00", "end": "2025-02-01T10:20:00-05:00"},
        "location": [{"location": {"reference": f"Location/room-{ord(id_[-1]) % PLACES}"}}],
    }


def _condition(id_: str, who: str) -> Json:
    return {
        "resourceType": "Condition",
        "id": f"c-{id_}",
        "clinicalStatus": {"coding": [{"system": f"{_TERMS}condition-clinical", "code": "resolved"}]},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J06.9"}]},
        "subject": {"reference": f"Patient/{who}"},
        "recordedDate": "2024-01-05",
    }


def _observation(id_: str, who: str) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"o-{id_}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
        "subject": {"reference": f"Patient/{who}"},
        "effectiveDateTime": "2025-11-10",
        "valueQuantity": {"value": 5.1, "unit": "%", "code": "%"},
    }


def _procedure(id_: str, who: str) -> Json:
    return {
        "resourceType": "Procedure",
        "id": f"x-{id_}",
        "status": "completed",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "105402000"}]},
        "subject": {"reference": f"Patient/{who}"},
        "performedDateTime": "2025-11-10",
    }


_MADE = (_encounter, _condition, _observation, _procedure)
