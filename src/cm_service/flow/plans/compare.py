"""What differs between the ledger and tonight's board, as Changes.

Elements that a person made theirs never cause a change and are never overwritten; an element that
the EMR already shows as wanted is none either. Generated text follows the rest and never leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cm_service.flow.intents import LINK, Change, Known, State, Want, identifier_value
from cm_service.flow.plans.board import Board, Item

_ORDER = {"Goal": 0, "CarePlan": 1, "Task": 2}
_NEVER_LEADS = frozenset({"text", "id", "meta", "resourceType"})
_CLOSING = frozenset({"status", "statusReason"})


def changes(board: Board) -> list[Change]:
    """Goals, then plans, then Tasks: an order in which every link can already be resolved."""
    places = places_of(board)
    found = [change for item in board.items if (change := _change(item, places)) is not None]
    return sorted(found, key=_rank)


def _rank(change: Change) -> tuple[int, bool, int, str]:
    want = change.want
    return _ORDER[want.kind], want.code != "longitudinal", want.urgency, want.business_key


def places_of(board: Board) -> dict[str, str]:
    """`intent:...` -> the reference under which the EMR holds it."""
    knowns = (item.known for item in board.items if item.known is not None)
    return {LINK + known.value: known.reference for known in knowns if known.reference}


def _change(item: Item, places: Mapping[str, str]) -> Change | None:
    known = item.known
    if known is None:
        return Change(want=_want(item, item.resource))
    if not _differs(item, known, places):
        return None
    return Change(want=_want(item, _with_theirs(item, known)), known=known)


def _differs(item: Item, known: Known, places: Mapping[str, str]) -> bool:
    wanted, held, current = item.resource, known.resource, known.current
    names = (wanted.keys() | held.keys()) - _NEVER_LEADS
    settled = known.state is State.WRITTEN
    for name in names - _theirs(item, known):
        if same(wanted.get(name), held.get(name), places):
            continue
        if not (settled and current and same(wanted.get(name), current.get(name), places)):
            return True
    return False


def _theirs(item: Item, known: Known) -> frozenset[str]:
    return known.human - _CLOSING if item.closing else known.human


def _with_theirs(item: Item, known: Known) -> dict[str, Any]:
    """Tonight's resource, with a person's elements as the EMR shows them."""
    resource = dict(item.resource)
    for name in _theirs(item, known) if known.current is not None else ():
        resource.pop(name, None)
        if known.current and name in known.current:
            resource[name] = known.current[name]
    return resource


def _want(item: Item, resource: dict[str, Any]) -> Want:
    known = item.known
    return Want(
        kind=item.kind,
        business_key=item.business_key,
        system=known.system if known else str(resource["identifier"][0]["system"]),
        value=known.value if known else identifier_value(item.business_key),
        rule=item.rule,
        code=item.code,
        subject=item.subject,
        resource=resource,
        urgency=item.urgency,
    )


def same(one: Any, other: Any, places: Mapping[str, str]) -> bool:
    """Equal to a reader: 7 and 7.0, a link and the place that it leads to, missing and empty."""
    return bool(one == other or plain(one, places) == plain(other, places))


def plain(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        read = {name: plain(each, places) for name, each in value.items()}
        if isinstance(value.get("reference"), str):
            read["reference"] = place(value["reference"], places)
        return {name: each for name, each in read.items() if each is not None} or None
    if isinstance(value, list | tuple):
        return [plain(each, places) for each in value] or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    return value


def place(reference: str, places: Mapping[str, str]) -> str:
    return places.get(reference, reference).split("/_history/")[0]
