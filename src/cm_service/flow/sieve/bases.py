"""Which absolute references of a folder or Bundle are its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cm_service.fhir.values import base_of


def own_base(references: Iterable[tuple[str, int]], named: Counter[str]) -> str | None:
    """The one base that occurs there (rules.md 0.6), None if there is none.

    `references` are those to patients with how often they occur, `named` the bases of full URLs.
    One base must prevail, over the others and over relative references: a stray absolute reference
    among relative ones leads to another server, and a wrong patient would be the worst of errors.
    """
    bases, relative = Counter(named), 0
    for reference, count in references:
        base = base_of(reference)
        if base:
            bases[base] += count
        else:
            relative += count
    ranked = bases.most_common(2)
    if not ranked or ranked[0][1] <= relative or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]
