"""What was held and not read any more: deleted, moved to another patient, or hidden by a lost scope."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from cm_service.flow.people import Facts
from cm_service.rules.facts import AnyFact

GUARD_COUNT, GUARD_SHARE = 20, 0.05


def too_many(missing: int, held: int) -> bool:
    """More than max(20, 5 %) at once is taken for a failed reading, never for deletions."""
    return missing > max(GUARD_COUNT, GUARD_SHARE * held)


class Vanished:
    """Collects while a reading is taken in. `replaces` are the types that were read to their end,
    `before` how many resources were held per type; `of_whom` says of the types that were read patient by
    patient for whom they were: of others nothing is known to be gone."""

    def __init__(
        self,
        replaces: frozenset[str],
        before: Mapping[str, int],
        of_whom: Mapping[str, frozenset[str]],
    ) -> None:
        self.replaces, self.before, self.of_whom = replaces, before, of_whom
        self.seen: set[str] = set()  # resource keys, to tell a move from a deletion
        self.visited: set[str] = set()
        self.removed = 0
        self.held_back: frozenset[str] = frozenset()
        self._missing: dict[str, set[str]] = {}

    def saw(self, patient_id: str, keys: Iterable[str]) -> None:
        self.visited.add(patient_id)
        self.seen.update(keys)

    def kept(self, patient_id: str, old: Facts, new: Facts) -> dict[str, AnyFact]:
        """What was held and not read: it stays for now, and is noted if its type was fully read."""
        gone = old.keys() - new.keys()
        noted = {key for key in gone if self._was_read(key.partition("/")[0], patient_id)}
        if noted:
            self._missing.setdefault(patient_id, set()).update(noted)
        return {key: old[key] for key in gone}

    def _was_read(self, kind: str, patient_id: str) -> bool:
        of_whom = self.of_whom.get(kind)
        return kind in self.replaces and (of_whom is None or patient_id in of_whom)

    def moved(self, patient_id: str, key: str) -> None:
        self._missing.setdefault(patient_id, set()).add(key)

    def going(self) -> Iterator[tuple[str, set[str]]]:
        """(patient, keys) to take out, when everything was read; fills `held_back`."""
        lost = Counter(
            key.partition("/")[0] for keys in self._missing.values() for key in keys if key not in self.seen
        )
        self.held_back = frozenset(
            kind for kind, count in lost.items() if too_many(count, self.before.get(kind, 0))
        )
        for who, keys in sorted(self._missing.items()):
            going = {k for k in keys if k in self.seen or k.partition("/")[0] not in self.held_back}
            self.removed += len(going - self.seen)
            if going:
                yield who, going
