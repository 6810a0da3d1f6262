"""What became of everything that a world wanted, judged from the EMR's own store and history.

The ledger is believed in one thing only: what it says that is not done is not expected to be done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from campaigns.wants import Minted
from campaigns.world import World
from cm_service.fhir import rawjson
from cm_service.flow import ours
from cm_service.flow.ours import Json
from cm_service.sandbox import counters
from cm_service.sandbox.store import Store
from cm_service.sandbox.versions import Identifier


class Found(NamedTuple):
    """One thing that must not be. `why` is one of the words below."""

    why: str
    place: str


COPY = "a second resource in the EMR for one intent"
GONE = "neither in the EMR nor visible in the ledger as something else than done"
UNSAID = "the ledger says written, and the EMR does not hold what we want"
BLAMED = "the ledger says that a person changed what no person touched"
BURIED = "the ledger says deleted, and nobody deleted it"
OVERWRITTEN = "a clinician's edit was overwritten unseen, or undone"
REVIVED = "what a clinician deleted was brought back"


class Verdict(NamedTuple):
    intents: int
    unknown: int
    unsettled: int  # neither written, superseded nor unknown: visible in the ledger
    why: Counter[str]  # what the ledger says of those that are not done
    resolved: int
    found: list[Found]

    @property
    def duplicates(self) -> int:
        return sum(each.why == COPY for each in self.found)

    @property
    def lost(self) -> int:
        return len(self.found) - self.duplicates


def judge(world: World) -> Verdict:
    rows = {(row.system, row.value): row for row in world.rows()}
    carriers = _carriers(world.store)
    found = [
        each
        for minted in world.minted
        for each in _judged(world.store, minted, rows.get(minted[2:]), carriers.get(minted[2:], []))
    ]
    found += [Found(OVERWRITTEN, f"{lost.key} {lost.element}") for lost in counters.lost_updates(world.store)]
    found += _revived(world, carriers)
    states = Counter(row.state for row in rows.values())
    unknown = {key for key, row in rows.items() if row.state == "unknown"}
    ours_lost = world.lost_answers.about & {minted[2:] for minted in world.minted}
    return Verdict(
        intents=len(world.minted),
        unknown=len(unknown),
        unsettled=sum(states.values()) - sum(states[name] for name in ("written", "superseded", "unknown")),
        why=Counter(
            f"{row.state}: {row.reason}"
            for row in rows.values()
            if row.state not in ("written", "superseded")
        ),
        resolved=len(ours_lost - unknown),
        found=found,
    )


def _revived(world: World, carriers: dict[Identifier, list[str]]) -> Iterator[Found]:
    again = set(counters.brought_back(world.store))
    died = {version.key for version in counters.deletions(world.store, by="clinician")}
    for minted in world.minted:
        keys = set(carriers.get(minted[2:], []))
        if again & keys and died & keys:
            yield Found(REVIVED, " ".join(sorted(keys)))


def _carriers(store: Store) -> dict[Identifier, list[str]]:
    """Identifier -> `Type/id` of all that ever carried it. What a clinician deleted before anybody had
    been shown that it came at all is left out: nobody who lost its answer could know of it."""
    unseen = {v.key for v in counters.deletions(store, by="clinician") if v.knew == 0}
    return {known: [key for key in keys if key not in unseen] for known, keys in store.carriers().items()}


def _judged(store: Store, minted: Minted, row: Any, ever: list[str]) -> Iterator[Found]:
    place = f"{minted.kind} {minted.value} {' '.join(ever)}"
    alive = [key for key in ever if store.exists(key)]
    if len(ever) > 1:
        yield Found(COPY, place)
    if row is None:
        yield Found(GONE, place)
    elif row.state == "written" and row.deleted and alive:
        yield Found(BURIED, place)
    elif row.state == "written" and not row.deleted and not alive:
        yield Found(GONE, place)
    elif row.state == "written" and alive:
        yield from _read(store, row, alive[0])


def _read(store: Store, row: Any, key: str) -> Iterator[Found]:
    """What we want is there, but for what people made theirs: who ended it says why, too."""
    type_, _, id_ = key.partition("/")
    versions = [version.resource or {} for version in store.history(type_, id_)]
    by = [version.by for version in store.history(type_, id_)]
    touched = {
        name
        for before, after, who in zip(versions, versions[1:], by[1:], strict=False)
        for name in before.keys() | after.keys()
        if who == "clinician" and before.get(name) != after.get(name)
    }
    for name in sorted(set(row.human) - ours.with_reason(touched)):
        yield Found(BLAMED, f"{key} {name}")
    wanted = ours.materialise(rawjson.loads(row.wanted.encode()), lambda _: None)
    for name in sorted(_plain(wanted) - ours.with_reason(set(row.human))):
        if versions[-1].get(name) != wanted[name]:
            yield Found(UNSAID, f"{key} {name}")


def _plain(wanted: Json) -> set[str]:
    """Elements of ours without links, whose targets may have come later."""
    return ours.owned(wanted) - {"basedOn", "partOf", "goal", "activity", "focus", "input"}
