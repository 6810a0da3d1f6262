"""Which absolute references of a folder or Bundle are its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

from cm_service.fhir.values import References, base_of


def own_base(
    references: Iterable[tuple[str, int]], named: Counter[str], patients: Container[str | None]
) -> str | None:
    """The one base that occurs there (rules.md 0.6), None if there is none.

    `references` are those to patients with how often they occur, `named` the bases of full URLs,
    `patients` the ids that the folder holds: a reference to somebody who is not there says nothing
    about whose it is. Of several bases the one that prevails; where none does, all are rejected,
    since a wrong patient would be the worst of errors.
    """
    bases = Counter(named)
    for reference, count in references:
        base = base_of(reference)
        if base and References(base).patient(reference) in patients:
            bases[base] += count
    ranked = bases.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]
