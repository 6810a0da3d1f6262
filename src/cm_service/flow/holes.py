"""Which types each patient's record may miss some of: lines that could not be used, and types that were
not read for this patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Holes(Mapping[str, frozenset[str]]):
    """`lines` fills while a folder is read; `of_whom` says of the types that were read patient by patient
    for whom they were. Every patient has an entry, `iter` gives those of `lines` only."""

    def __init__(self, lines: Mapping[str, frozenset[str]], of_whom: Mapping[str, frozenset[str]]) -> None:
        self._lines, self._of_whom = lines, of_whom

    def __getitem__(self, patient_id: str) -> frozenset[str]:
        unread = {kind for kind, whom in self._of_whom.items() if patient_id not in whom}
        return self._lines.get(patient_id, frozenset()) | unread

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)
