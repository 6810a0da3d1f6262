"""Several versions of one resource in the input: which one speaks (rules.md 0.2)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cm_service.flow.normalise import Unused
from cm_service.rules.dates import Precision
from cm_service.rules.facts import AnyFact


def newest(versions: Sequence[AnyFact | Unused], *, of_one_server: bool = False) -> AnyFact | Unused:
    """The newest meta.lastUpdated, then the highest numeric versionId; where neither orders them the
    later line, with the flag `duplicate_version`. The same content twice is one. `versions` stand
    in the order of their lines; one that says nothing to any rule is a version like any other.

    One server that counts its versions is believed by its count first: the clocks of its nodes may
    differ, so that a later version has an earlier date (LinuxForHealth issue 3690)."""
    left = list(versions)
    for order in (number_of, _updated) if of_one_server else (_updated, number_of):
        keys = [order(fact) for fact in left]
        if None not in keys:
            best = max(key for key in keys if key is not None)
            left = [fact for fact, key in zip(left, keys, strict=True) if key == best]
    last = left[-1]
    if all(fact == last for fact in left):
        return last
    return msgspec.structs.replace(last, flags=(*last.flags, "duplicate_version"))


def _updated(fact: AnyFact | Unused) -> int | None:
    when = fact.updated
    return when.low if when is not None and when.precision == Precision.INSTANT else None


def number_of(fact: AnyFact | Unused) -> int | None:
    """Its versionId where that is a number."""
    text = fact.version
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
