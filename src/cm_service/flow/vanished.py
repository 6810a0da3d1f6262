"""What was held and not read any more: deleted, moved to another patient, or hidden by a lost scope."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from cm_service.flow.people import Facts
from cm_service.flow.sieve.versions import number_of
from cm_service.rules.facts import AnyFact

GUARD_COUNT, GUARD_SHARE = 20, 0.05


def too_many(missing: int, held: int) -> bool:
    """More than max(20, 5 %) at once is taken for a failed reading, never for deletions."""
    return missing > max(GUARD_COUNT, GUARD_SHARE * held)


def _is_later(one: AnyFact, other: AnyFact) -> bool:
    """By number: clocks of nodes differ (LinuxForHealth issue 3690)."""
    mine, theirs = number_of(one), number_of(other)
    return mine is not None and theirs is not None and mine > theirs


class Vanished:
    """Collects while a reading is taken in. `replaces` are the types that were read to their end,
    `before` how many resources were held per type; `whole_for` says of the types that were read patient by
    patient for whom all of it was: of others nothing is known to be gone. `approved` says how many of a
    type may be gone because a person has said so, `deleted` which are by the EMR's own word."""

    def __init__(
        self,
        replaces: frozenset[str],
        before: Mapping[str, int],
        whole_for: Mapping[str, frozenset[str]],
        approved: Mapping[str, int],
        deleted: frozenset[str] = frozenset(),
    ) -> None:
        self.approved, self.deleted = approved, deleted
        self.replaces, self.before, self.whole_for = replaces, before, whole_for
        self.seen: set[str] = set()  # resource keys, to tell a move from a deletion
        self.visited: set[str] = set()
        self.removed = 0
        self.held_back: dict[str, int] = {}
        self._missing: dict[str, set[str]] = {}

    def saw(self, patient_id: str, keys: Iterable[str]) -> None:
        self.visited.add(patient_id)
        self.seen.update(keys)

    def kept(self, patient_id: str, old: Facts, new: Facts) -> dict[str, AnyFact]:
        """What was held and not read: it stays for now, and is noted if its type was fully read."""
        gone = old.keys() - new.keys()
        noted = {
            key for key in gone if key in self.deleted or self._was_read(key.partition("/")[0], patient_id)
        }
        if noted:
            self._missing.setdefault(patient_id, set()).update(noted)
        return {key: old[key] for key in gone}

    def _was_read(self, kind: str, patient_id: str) -> bool:
        whole_for = self.whole_for.get(kind)
        return kind in self.replaces and (whole_for is None or patient_id in whole_for)

    def newer(self, patient_id: str, old: Facts, new: Facts) -> dict[str, AnyFact]:
        """What is held in a later version than was read: of what changed, a node of the EMR that lags may
        give an old version once more. A type that was read whole is believed, whatever it says."""
        return {
            key: old[key]
            for key in old.keys() & new.keys()
            if not self._was_read(key.partition("/")[0], patient_id) and _is_later(old[key], new[key])
        }

    def moved(self, patient_id: str, key: str) -> None:
        self._missing.setdefault(patient_id, set()).add(key)

    def going(self) -> Iterator[tuple[str, set[str]]]:
        """(patient, keys) to take out, when everything was read; fills `held_back`."""
        lost = Counter(
            key.partition("/")[0] for keys in self._missing.values() for key in keys if key not in self.seen
        )
        self.held_back = {
            kind: count
            for kind, count in lost.items()
            if too_many(count, self.before.get(kind, 0)) and count > self.approved.get(kind, 0)
        }
        for who, keys in sorted(self._missing.items()):
            going = {k for k in keys if k in self.seen or k.partition("/")[0] not in self.held_back}
            self.removed += len(going - self.seen)
            if going:
                yield who, going
