"""What one kind of EMR declares and how it behaves. Router, search, writes and /metadata read this alone.

The defaults are those of a server that does all that FHIR R4 asks; each personality changes what its
EMR does otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from cm_service.sandbox.manners import Manners
from cm_service.sandbox.parameters import SearchParameter
from cm_service.sandbox.wire import Resource

if TYPE_CHECKING:
    from cm_service.sandbox.answers import Answer
    from cm_service.sandbox.calls import Call, Emr
    from cm_service.sandbox.versions import Version


class Interaction(StrEnum):
    """Codes of CapabilityStatement.rest.resource.interaction that every server of FHIR knows."""

    READ = "read"
    VREAD = "vread"
    UPDATE = "update"
    DELETE = "delete"
    HISTORY = "history-instance"
    TYPE_HISTORY = "history-type"
    CREATE = "create"
    SEARCH = "search-type"


PATCH = "patch"  # by JSON Patch; few EMRs have it


class Guard(StrEnum):
    """Which precondition of an update or delete is checked; the others are ignored, as sent in vain."""

    ETAG = "If-Match"
    DATE = "If-Unmodified-Since"
    NONE = "none"


class Unknown(StrEnum):
    """What becomes of a search parameter that the type does not have."""

    PREFER = "refused for handling=strict, else ignored"
    IGNORED = "always ignored"
    REFUSED = "always refused"
    MATCHES_NOTHING = "taken as a filter that nothing meets"


class Location(StrEnum):
    """The Location header of a create."""

    VERSIONED = "absolute, with _history"
    ABSOLUTE = "absolute"
    RELATIVE = "relative"


class Meta(StrEnum):
    """What of `meta` is shown in what is read."""

    WHOLE = "all"
    NO_VERSION = "without versionId"
    NONE = "none"


@dataclass(frozen=True)
class Paging:
    """How a search is handed out. `parameter` carries the place in a next link.

    A snapshot is of one moment and its links expire; without one every page is a new search, so rows
    move while people write. `numbered`: pages are counted, not rows. `of_type`: next links are searches
    of the type. `repeats`: rows of the page before that come again. `stops_at`: rows after which the
    next link just disappears. `reuse_seconds`: the same search is answered with the old result.
    `uneven`: every other page holds half of what was asked for. `by_change`: what changed last stands
    last, so rows move when they are edited.
    """

    parameter: str = "_page"
    count: str = "_count"
    snapshot: bool = True
    numbered: bool = False
    of_type: bool = False
    repeats: int = 0
    stops_at: int | None = None
    reuse_seconds: int = 0
    uneven: bool = False
    by_change: bool = False


@dataclass(frozen=True)
class Bulk:
    """How `$export` works where there is one. `levels`: system, patient, group.

    `since`: `_since` is used, else ignored; `since_hides`: of a patient whose Patient did not change it shows
    nothing. `most_jobs` at a time, one more is refused with `refusal` (200 says "duplicate"). `waits`
    polls are answered "not yet", each with `retry_after`. `most_lines` in one file.
    """

    levels: frozenset[str] = frozenset({"system", "patient", "group"})
    since: bool = True
    since_hides: bool = False
    type_filter: bool = True
    deleted: bool = True
    most_jobs: int | None = None
    refusal: int = 429
    waits: int = 1
    retry_after: str = "1"
    most_lines: int = 1000


Rule = Callable[["Emr", "Call"], Resource]  # the resource to store; raises Refusal
SearchRule = Callable[[Mapping[str, list[str]]], None]  # parameter -> values; raises Refusal
Operation = Callable[["Emr", "Call"], "Answer"]


@dataclass(frozen=True)
class Declared:
    """One resource type: its interactions and search parameters, and what is special about it.

    `hollow` interactions and `idle` parameters are declared but do nothing: real statements lie. `needs`:
    a search must have all parameters of one of these sets. `rules` see every create and update in turn.
    `update_rules` see updates alone. `untold` parameters work and are not declared. `held`: what clients
    create is in no search until it is released. `withheld` elements are never returned.
    """

    interactions: frozenset[str]
    parameters: Mapping[str, SearchParameter]
    update_create: bool = False
    conditional_create: bool = False
    hollow: frozenset[str] = frozenset()
    idle: frozenset[str] = frozenset()
    untold: frozenset[str] = frozenset()
    needs: tuple[frozenset[str], ...] = ()
    search_rules: tuple[SearchRule, ...] = ()
    rules: tuple[Rule, ...] = ()
    update_rules: tuple[Rule, ...] = ()
    operations: Mapping[str, Operation] = field(default_factory=lambda: MappingProxyType({}))
    held: bool = False
    withheld: frozenset[str] = frozenset()

    def allows(self, interaction: str) -> bool:
        return interaction in self.interactions

    def tells(self, interaction: str) -> bool:
        """What /metadata says, true or not."""
        return interaction in self.interactions or interaction in self.hollow


def numbered(version: Version) -> str:
    """versionId as most servers count: 1, 2, 3."""
    return str(version.number)


@dataclass(frozen=True)
class Personality:
    """A whole EMR. `system` holds codes of CapabilityStatement.rest.interaction.

    `silent`: a create or update is answered without a body unless `Prefer: return=representation`;
    `mute`: even then. `refuses_condition`: If-None-Exist is a 400 where it is not supported, else it is
    ignored. `keeps_version`: an update that changes nothing makes no version. `id_of` turns the ids of
    the store into those of this EMR, `adapt` a resource of the panel into what this EMR would hold.
    """

    name: str
    types: Mapping[str, Declared]
    system: frozenset[str] = frozenset()
    default_count: int = 50
    max_count: int = 1000
    paging: Paging = field(default_factory=Paging)
    unknown: Unknown = Unknown.PREFER
    guard: Guard = Guard.ETAG
    conflict_status: int = 412
    gone_status: int = 410
    etag: bool = True
    meta: Meta = Meta.WHOLE
    version_name: Callable[[Version], str] = numbered
    location: Location = Location.VERSIONED
    silent: bool = False
    mute: bool = False
    refuses_condition: bool = True
    keeps_version: bool = False
    hollow_status: int = 405
    manners: Manners = field(default_factory=Manners)
    bulk: Bulk | None = None
    longest_id: int = 64
    id_of: Callable[[str], str] = str
    calls_a_minute: int | None = None
    search_lag_seconds: float = 0.0
    adapt: tuple[Callable[[Resource], Resource], ...] = ()
