"""What is kept under confidentiality labels, and who may read it.

`labels` of a row are codes, sorted, apart by spaces: "" for what everybody may see who sees the patient.
Whoever reads is cleared for a set of codes, and reads what is under no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

Cleared = frozenset[str]
NOTHING: Cleared = frozenset()


def written(codes: Iterable[str]) -> str:
    return " ".join(sorted(codes))


def joined(*labels: str) -> str:
    """The labels of something that shows what stands under all of these."""
    return written(set(" ".join(labels).split()))


def readable(labels: str, cleared: Cleared) -> bool:
    return cleared.issuperset(labels.split())


def all_readable(cleared: Cleared) -> list[str]:
    """Every value of `labels` that somebody with this clearance may read, for a query."""
    codes = sorted(cleared)
    return [" ".join(some) for count in range(len(codes) + 1) for some in combinations(codes, count)]
