"""What a pull must know of an EMR connection: whom it is about, and how its searches can be narrowed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from cm_service.db.sealed import Sealer
from cm_service.fhir.capability import Capability
from cm_service.flow.normalisers.used_codes import ConceptMap
from cm_service.flow.pull.export_plan import ExportPlan

PAGE_SIZE = 200
OVERLAP = dt.timedelta(minutes=10)  # commits 120 s late, and clocks 120 s apart on either side, are six


class Since(StrEnum):
    """What `_lastUpdated` is good for as a search parameter."""

    INSTANT = "instant"
    DATE = "date"
    NONE = "none"


class Reach(NamedTuple):
    """How far one search of a type reaches: over the whole EMR or within one patient, all or what changed."""

    within_patient: bool = False
    since: Since = Since.NONE


EVERYTHING = Reach()


Key = tuple[str, str, str]  # type, query and patient of a search


class Source(msgspec.Struct, frozen=True):
    """The EMR connection as far as a pull needs it.

    `named` are references that an operator named: the practice, the owner of Tasks. `reach` says per type
    how it is asked, where not as a whole. `listed` are the patients whom the operator listed, `group` the
    Group of the panel, `panel` those whom the store knows: where a search needs a patient, these are asked
    about, in this order. `count` is the EMR's parameter for the size of a page; `snapshots`: its pages are
    known to be of one moment. `now` bounds what the EMR says of its own clock.

    `cursors` say from when on a search may ask; one without is read whole. `known` are ids per type that
    are read by themselves where only changes are asked for: what search does not report of them (that they
    were deleted) must be seen every night. With a `sealer` a pull that was killed goes on. `capability` is
    given where /metadata need not be asked for, `types` where not all are wanted. `history` are the types
    whose history may be asked for what was deleted. `export`: what is read by
    `$export` in place of searches.
    """

    slug: str
    concept_map: ConceptMap = {}
    named: tuple[str, ...] = ()
    reach: Mapping[str, Reach] = {}
    listed: tuple[str, ...] | None = None
    group: str | None = None
    panel: tuple[str, ...] = ()
    count: str = "_count"
    snapshots: bool = False
    now: dt.datetime | None = None
    overlap: dt.timedelta = OVERLAP
    cursors: Mapping[Key, dt.datetime] = {}
    known: Mapping[str, tuple[str, ...]] = {}
    sealer: Sealer | None = None
    capability: Capability | None = None
    types: frozenset[str] | None = None
    history: frozenset[str] = frozenset()
    export: ExportPlan | None = None
