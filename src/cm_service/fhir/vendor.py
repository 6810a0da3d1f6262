"""Vendor profiles: what a kind of EMR lets a third party do, as data with a source and a date.

A profile narrows what /metadata promises and names what no EMR declares: which note it takes, how
many calls a minute, which error means that the thing is there already. A new EMR is a new file.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from cm_service.errors import BadInput

FOLDER = Path(__file__).parent / "profiles"
ANY = "*"


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Verb(StrEnum):
    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    SEARCH = "search"
    HISTORY = "history-type"
    PATCH = "patch"
    SUBMIT_CARE_GAPS = "$submit-care-gaps"


class Rung(StrEnum):
    """Where an intent can be put; `own-store` (the page is the view) needs no EMR and is not listed."""

    TASK = "task"
    CARE_PLAN = "care-plan"
    CARE_GAP = "care-gap"
    QUESTIONNAIRE_RESPONSE = "questionnaire-response"
    DOCUMENT_REFERENCE = "document-reference"
    COMMUNICATION = "communication"


class Precondition(StrEnum):
    """How an update says which version it means to replace."""

    ETAG = "etag"
    IF_UNMODIFIED_SINCE = "if-unmodified-since"
    NONE = "none"
    UNKNOWN = "unknown"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Said(_Part, frozen=True):
    answer: Answer = Answer.UNKNOWN
    note: str = ""


class Rule(_Part, frozen=True):
    """One statement on every pair of `resources` and `verbs`; "*" stands for types not named elsewhere."""

    resources: tuple[str, ...]
    verbs: tuple[Verb, ...]
    allowed: Answer
    note: str = ""


class NoteRules(_Part, frozen=True):
    """What a DocumentReference note must look like. `encounter`: must it hang on an existing one;
    `formats`: MIME types taken, empty where unknown; `max_characters` None where unknown."""

    encounter: Answer = Answer.UNKNOWN
    formats: tuple[str, ...] = ()
    first_attachment_only: bool = False
    max_characters: int | None = None
    update: Answer = Answer.UNKNOWN
    note: str = ""


class SearchRule(_Part, frozen=True):
    """A search of `resources` needs one of these parameters, or it is refused."""

    resources: tuple[str, ...]
    any_of: tuple[str, ...]
    note: str = ""


class LastUpdated(_Part, frozen=True):
    """What `_lastUpdated` is good for as a search parameter: instant, date (whole days only), none."""

    resources: tuple[str, ...]
    support: Literal["instant", "date", "none", "unknown"]
    note: str = ""


class RateLimit(_Part, frozen=True):
    calls: int
    seconds: int
    per: str
    note: str = ""


class Paging(_Part, frozen=True):
    """`count`: the parameter that names a page's size; `snapshot`: are the pages of one search of one
    moment, so that no row slips from one page to another while people write?"""

    default: int | None = None
    most: int | None = None
    count: str = "_count"
    snapshot: Answer = Answer.UNKNOWN
    note: str = ""


class BulkRules(_Part, frozen=True):
    """`$export`: `levels` are system, patient, group; empty where unknown. `nightly`: is it the way to read
    every night, where a Group is named? `types`: of these only, empty for all. `since`, `type_filter`: are
    `_since` and `_typeFilter` used?"""

    levels: tuple[Literal["system", "patient", "group"], ...] = ()
    nightly: Answer = Answer.UNKNOWN
    types: tuple[str, ...] = ()
    since: Answer = Answer.UNKNOWN
    type_filter: Answer = Answer.UNKNOWN
    note: str = ""


class AlreadyThere(_Part, frozen=True):
    """A code in an OperationOutcome that is no refusal: the same thing is in the EMR already."""

    code: str
    note: str = ""


class RestRow(_Part, frozen=True):
    """A way in beside FHIR, which this service does not use: told to the operator."""

    name: str
    verbs: tuple[str, ...]
    note: str = ""


_Date = Annotated[str, msgspec.Meta(pattern=r"^20\d\d-\d\d(-\d\d)?$")]


class Profile(_Part, frozen=True):
    """One kind of EMR. `date` is that of the source; what the source does not say stays unknown."""

    name: str
    title: str
    source: str
    date: _Date
    rules: tuple[Rule, ...] = ()
    rungs: dict[Rung, Said] = {}
    note: NoteRules = NoteRules()
    required_search: tuple[SearchRule, ...] = ()
    last_updated: tuple[LastUpdated, ...] = ()
    paging: Paging = Paging()
    bulk: BulkRules = BulkRules()
    rate_limit: RateLimit | None = None
    precondition: Precondition = Precondition.UNKNOWN
    conditional_create: Said = Said()
    already_there: tuple[AlreadyThere, ...] = ()
    id_length: int | None = None
    identifiers_kept: Said = Said()
    holding_tank: tuple[str, ...] = ()  # types whose fresh writes no search shows until somebody looked
    rest: tuple[RestRow, ...] = ()

    def allows(self, resource: str, verb: str) -> Said:
        """What the vendor lets a third party do; unknown where the source is silent."""
        for name in (resource, ANY):
            for rule in self.rules:
                if name in rule.resources and verb in rule.verbs:
                    return Said(answer=rule.allowed, note=rule.note)
        return Said()

    def rung(self, rung: Rung) -> Said:
        return self.rungs.get(rung, Said())

    def needed_for_search(self, resource: str) -> tuple[str, ...]:
        """One of these parameters must be in a search; empty: none is known to be needed."""
        for name in (resource, ANY):
            for rule in self.required_search:
                if name in rule.resources:
                    return rule.any_of
        return ()

    def last_updated_of(self, resource: str) -> LastUpdated | None:
        for name in (resource, ANY):
            for said in self.last_updated:
                if name in said.resources:
                    return said
        return None

    def is_already_there(self, code: str) -> bool:
        return any(known.code == code for known in self.already_there)


NO_PROFILE = Profile(name="", title="no profile", source="nothing is known of this EMR", date="2026-11")


def names(extra: Path | None = None) -> list[str]:
    """The profiles that exist, sorted; those of folder `extra` too."""
    return sorted({path.stem for folder in _folders(extra) for path in folder.glob("*.json")})


def load(name: str | None, *, extra: Path | None = None) -> Profile:
    """The profile of this name, one in folder `extra` before one of ours; NO_PROFILE for none.

    Raises BadInput for an unknown name (with those that exist) and for a file that is no profile."""
    if not name:
        return NO_PROFILE
    if name not in names(extra):
        raise BadInput(f"there is no vendor profile {name}; known are {', '.join(names(extra))}")
    path = next(folder / f"{name}.json" for folder in _folders(extra) if (folder / f"{name}.json").is_file())
    return _read(path, path.stat().st_mtime_ns)


@cache
def _read(path: Path, _changed: int) -> Profile:
    try:
        profile = msgspec.json.decode(path.read_bytes(), type=Profile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name} is no vendor profile: {error}") from error
    if profile.name != path.stem:
        raise BadInput(f"{path.name} calls itself {profile.name!r}: the name must be that of the file")
    said = [(name, verb) for rule in profile.rules for name in rule.resources for verb in rule.verbs]
    twice = sorted({pair for pair in said if said.count(pair) > 1})
    if twice:
        raise BadInput(f"{path.name} says twice what it allows: {' '.join(twice[0])}")
    return profile


def _folders(extra: Path | None) -> list[Path]:
    return [folder for folder in (extra, FOLDER) if folder is not None]
