"""Three-way comparison of what we wrote, what the EMR holds and what we want: raw JSON, element by element.

Our resources are never round-tripped through a model: elements that we do not own, unknown ones and
extensions of others stay exactly as the EMR gave them.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

from cm_service.flow.intents import LINK

Json = dict[str, Any]
KINDS = ("CarePlan", "Goal", "Task")  # the native resources that we write
WITHDRAWING = frozenset({"status", "statusReason", "lifecycleStatus"})  # by which one of them is taken back
NEVER_OURS = frozenset({"resourceType", "id", "meta", "identifier", "text"})
CLOSED = {
    "Task": frozenset({"cancelled", "completed", "failed", "rejected", "entered-in-error"}),
    "CarePlan": frozenset({"revoked", "completed", "entered-in-error"}),
    "Goal": frozenset({"cancelled", "completed", "rejected", "entered-in-error"}),
}

CLINICAL = {
    "Goal": frozenset({"description", "target", "addresses"}),
    "CarePlan": frozenset({"activity", "goal", "addresses", "description"}),
}


def owned(wanted: Json) -> set[str]:
    """The top-level elements that are the service's own."""
    return set(wanted) - NEVER_OURS


def changed_by_others(wanted: Json, current: Json, *told: Json) -> set[str]:
    """Elements of ours that are as nobody but a person can have made them: neither as the EMR held
    them before (one of `told`), nor as we last sent them (another), nor as we want them now."""
    names = owned(wanted).union(*map(owned, told))
    return {name for name in names if all(current.get(name) != each.get(name) for each in (wanted, *told))}


def filled_by_others(wanted: Json, last_sent: Json, current: Json) -> set[str]:
    """Elements that we want for the first time, and in which the EMR already holds something else."""
    names = owned(wanted) - owned(last_sent)
    return {name for name in names if current.get(name) not in (None, wanted[name])}


def differs(wanted: Json, current: Json) -> set[str]:
    """Elements of ours that the EMR does not hold as we want them."""
    return {name for name in owned(wanted) if wanted[name] != current.get(name)}


def to_send(wanted: Json, last_sent: Json) -> Json:
    """What is wanted, with null for what we sent before and want no more."""
    return dict.fromkeys(owned(last_sent) - owned(wanted)) | wanted


def changed(before: Json, after: Json) -> set[str]:
    """Top-level elements that differ between two versions, but for what a server counts itself."""
    names = (before.keys() | after.keys()) - {"meta", "text"}
    return {name for name in names if before.get(name) != after.get(name)}


def given_back(before: Json, theirs: Json, written: Json, stored: Json) -> tuple[Json, set[str]]:
    """`stored`, the EMR's own JSON now, with what somebody did in `theirs`, a version on `before` that our
    `written` replaced unseen; and the elements of which two people say different things, so that one must
    choose. Notes are added to, so both lists of them stay."""
    body, clash = dict(stored), set[str]()
    for name in _with_clinical(theirs["resourceType"], changed(before, theirs)):
        now, then = stored.get(name), theirs.get(name)
        if now == written.get(name):
            body[name] = then
        elif name == "note" and isinstance(now, list) and isinstance(then, list):
            body[name] = then + [each for each in now if each not in then]
        elif now != then:
            clash.add(name)
    return {name: value for name, value in body.items() if value is not None}, clash


def _with_clinical(kind: str, human: Set[str]) -> Set[str]:
    """Clinical content is one statement: who wrote a part of it has the word on all of it. A target of
    theirs under a description of ours would be what nobody has said."""
    clinical = CLINICAL.get(kind, frozenset())
    return human | clinical if human & clinical else human


def merged(current: Json, sent: Json, human: Set[str]) -> Json:
    """The EMR's own resource with our elements in it; what somebody else made theirs stays."""
    human = _with_clinical(sent["resourceType"], human)
    theirs = human - WITHDRAWING if _withdraws(current, sent) else with_reason(human)
    ours = {name: sent[name] for name in owned(sent) if name not in theirs}
    if "text" in sent and ours.keys() >= owned(sent):
        ours["text"] = sent["text"]  # the narrative tells the whole resource: ours only if all of it is
    return {name: value for name, value in (current | ours).items() if value is not None}


def with_reason(human: Set[str]) -> Set[str]:
    """Who ended a thing has the word on why: done for a reason of ours is what nobody has said."""
    return human | {"statusReason"} if human & WITHDRAWING else human


def _withdraws(current: Json, wanted: Json) -> bool:
    """A withdrawn Task ends whoever took it up meanwhile: nobody is to call a patient who has died.
    One that somebody has ended stays as they ended it."""
    is_task = wanted["resourceType"] == "Task" and wanted.get("status") == "cancelled"
    return is_task and not is_closed(current)


def is_partial(current: Json) -> bool:
    """Given to us in part only (SUBSETTED): what is missing was not taken away."""
    tags = (current.get("meta") or {}).get("tag") or []
    return any(tag.get("code") == "SUBSETTED" for tag in tags)


def may_be_written_over(current: Json) -> bool:
    """False for a resource whose meaning we cannot know (modifierExtension) or of which we do not see
    all: a PUT would lose the rest (FHIR R4 http, summary note)."""
    return "modifierExtension" not in current and not is_partial(current)


def has_identifier(resource: Json, system: str, value: str) -> bool:
    return any(
        item.get("system") == system and item.get("value") == value
        for item in resource.get("identifier", [])
        if isinstance(item, dict)
    )


def is_closed(resource: Json) -> bool:
    kind = resource["resourceType"]
    return resource.get("lifecycleStatus" if kind == "Goal" else "status") in CLOSED.get(kind, ())


def materialise(wanted: Json, place: Callable[[str], str | None]) -> Json:
    """`wanted` with `intent:` links turned into references; `place` gives the reference of an
    identifier value, or None where it never got one: such a link is left out, with everything
    that would be empty without it."""
    result = _resolve(wanted, place)
    assert isinstance(result, dict)
    return result


def links(wanted: Any) -> set[str]:
    """The identifier values that `wanted` links to."""
    if isinstance(wanted, dict):
        found = set().union(*(links(value) for value in wanted.values()))
        reference = wanted.get("reference")
        if isinstance(reference, str) and reference.startswith(LINK):
            found.add(reference.removeprefix(LINK))
        return found
    if isinstance(wanted, list):
        return set().union(*(links(item) for item in wanted))
    return set()


def _resolve(value: Any, place: Callable[[str], str | None]) -> Any:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference.startswith(LINK):
            found = place(reference.removeprefix(LINK))
            return value | {"reference": found} if found else None
        resolved = {name: _resolve(item, place) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not None} or None
    if isinstance(value, list):
        kept = [item for item in (_resolve(item, place) for item in value) if item is not None]
        return kept or None
    return value


def relinked(resource: Any, value_of: Callable[[str], str | None]) -> Any:
    """The reverse of `materialise`: references to things of ours become `intent:` links again."""
    if isinstance(resource, dict):
        reference = resource.get("reference")
        value = value_of(reference) if isinstance(reference, str) else None
        if value is not None:
            return resource | {"reference": LINK + value}
        return {name: relinked(item, value_of) for name, item in resource.items()}
    if isinstance(resource, list):
        return [relinked(item, value_of) for item in resource]
    return resource
