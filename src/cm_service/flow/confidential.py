"""What a patient's decisions would be without what stands under confidentiality labels.

Everybody is judged by everything. A decision that would read otherwise without the labelled resources is
itself under their labels, and beside it stands how it reads without them: that is what others are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from cm_service.db.confidential import NOTHING, Cleared, written
from cm_service.errors import BadInput
from cm_service.flow.ours import Json
from cm_service.flow.people import Facts
from cm_service.rules.confidential import CODES, LABELS, restrictions
from cm_service.rules.facts import AnyFact
from cm_service.rules.view import PatientView

SETTING = "page-labels"
View = Callable[[Mapping[str, Facts]], Iterator[PatientView]]


class Veil(NamedTuple):
    """`labels` of what was read, the references of what bears them, and the view without it: None where
    the Patient itself is labelled."""

    labels: str = ""
    names: tuple[str, ...] = ()
    without: PatientView | None = None

    def over(self, *texts: str) -> str:
        """The labels of something that names any of it."""
        named = any(f'{name}"' in text or text.endswith(name) for name in self.names for text in texts)
        return self.labels if named else ""


NO_VEIL = Veil()


def veiled(members: Mapping[str, Facts], views: View) -> Iterator[tuple[PatientView, Veil]]:
    """`views` of these facts, each with what is left of it without labelled ones."""
    labels = labels_of(members.values())
    if not labels:
        yield from ((view, NO_VEIL) for view in views(members))
        return
    bare = {who: without_labelled(facts) for who, facts in members.items()}
    names = tuple(key for who, facts in members.items() for key in facts if key not in bare[who])
    left = {view.patient.id: view for view in views(bare) if view.patient}
    for view in views(members):
        yield view, Veil(labels, names, left.get(view.patient.id if view.patient else ""))


def labels_of(many: Iterable[Facts]) -> str:
    labelled = (fact.security for facts in many for fact in facts.values() if fact.security)
    return written({code for security in labelled for code in restrictions(security)})


def without_labelled(facts: Facts, cleared: Cleared = NOTHING) -> dict[str, AnyFact]:
    """What somebody with this clearance may see of them."""
    return {key: fact for key, fact in facts.items() if restrictions(fact.security) <= cleared}


def labelled(resource: Json, labels: str) -> Json:
    """With these labels in it, too, so that the EMR's own rules hold for what we write."""
    meta = resource.get("meta") or {}
    there = meta.get("security") or []
    has = restrictions(f"{each.get('system', '')}|{each.get('code', '')}" for each in there)
    missing = [_coding(name) for name, code in LABELS.items() if code in labels.split() and code not in has]
    return {**resource, "meta": {**meta, "security": [*there, *missing]}} if missing else resource


def _coding(name: str) -> Json:
    system, _, code = name.rpartition("|")
    return {"system": system, "code": code}


def cleared_for_pages(settings: Mapping[str, str]) -> Cleared:
    """The labels that the EMR's own users see on page, worklist page and cards: the practice says so, for
    a launch tells nothing of it. Raises BadInput."""
    codes = frozenset(filter(None, settings.get(SETTING, "").split(",")))
    if codes - CODES:
        raise BadInput(f"{SETTING} takes some of {', '.join(sorted(CODES))}, apart by commas")
    return codes
