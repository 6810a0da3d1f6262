"""How the numbers of a subscription's events go on: what is new, what came before, what is missing."""

from __future__ import annotations

from typing import Any, NamedTuple

from cm_service.flow.notification import HANDSHAKE, Event, Notification

KEPT = 200  # events by which a repetition is known
MOST_MISSING = 200
BAD = frozenset({"error", "off", "entered-in-error"})


class Standing(NamedTuple):
    """As it is kept. `recent` has the digest of an event by its number, as text."""

    status: str = ""
    highest: int = 0
    missing: tuple[int, ...] = ()
    recent: tuple[tuple[int, str], ...] = ()
    gaps: int = 0


class News(NamedTuple):
    """`keys` are Type/id to look at; `look`: something was missed, so that we must look ourselves."""

    standing: Standing
    keys: tuple[str, ...]
    look: bool


def standing_of(row: Any | None) -> Standing:
    if row is None:
        return Standing()
    recent = tuple(sorted((int(number), digest) for number, digest in row.recent.items()))
    return Standing(row.status, row.highest, tuple(row.missing), recent, row.gaps)


def take(old: Standing, said: Notification) -> News:
    """Events come at least once and in any order, and the count begins anew when an EMR turns its
    subscription on again."""
    if said.type == HANDSHAKE:
        # What changed while it was off is in no notification.
        begun = Standing(status=said.status, highest=said.total or 0, gaps=old.gaps)
        return News(begun, (), old.highest > 0)
    standing, keys, look = old._replace(status=said.status), list[str](), said.status in BAD or said.error
    for event in sorted(said.events, key=lambda each: each.number):
        standing, is_new, missed = _one(standing, event, said.total)
        look |= missed
        if is_new and event.focus is not None:
            keys.append(event.focus)
    if said.total is not None and said.total > standing.highest:
        standing, look = _gap(standing, said.total + 1)._replace(highest=said.total), True
    return News(standing, tuple(key for key in keys if key), look or "" in keys)


def _one(old: Standing, event: Event, count: int | None) -> tuple[Standing, bool, bool]:
    """(standing, is it new, was something missed)."""
    number = event.number
    if dict(old.recent).get(number) == event.digest:
        return old, False, False
    if number in old.missing:
        late = tuple(each for each in old.missing if each != number)
        return _noted(old._replace(missing=late), event), True, False
    if number > old.highest:
        missed = number > old.highest + 1
        return _noted(_gap(old, number)._replace(highest=number), event), True, missed
    begun = Standing(status=old.status, highest=max(number, count or 0), gaps=old.gaps)
    return _noted(begun, event), True, True


def _gap(old: Standing, number: int) -> Standing:
    """Everything between the highest and `number` is missing."""
    gone = range(old.highest + 1, number)
    if not gone:
        return old
    missing = (*old.missing, *gone[-MOST_MISSING:])[-MOST_MISSING:]
    return old._replace(missing=missing, gaps=old.gaps + 1)


def _noted(old: Standing, event: Event) -> Standing:
    return old._replace(recent=(*old.recent, (event.number, event.digest))[-KEPT:])
