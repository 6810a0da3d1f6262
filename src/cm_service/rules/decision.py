"""What a rule answers, and what the service keeps of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from cm_service.rules.clock import Clock
    from cm_service.rules.view import PatientView


class Outcome(StrEnum):
    ELIGIBLE = "eligible"
    NOT_ELIGIBLE = "not_eligible"
    INSUFFICIENT_DATA = "insufficient_data"


class Evidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One input that was looked at. `raw` is the text as the EMR wrote it, `value` the normalised
    one (in `unit`), `date` the date that was used, as written or as a local day."""

    type: str
    id: str
    version: str | None = None
    path: str = ""
    raw: str = ""
    value: str = ""
    unit: str = ""
    date: str = ""


class Finding(msgspec.Struct, kw_only=True):
    """A rule's own answer, before gates and holes. Reasons and flags are words of flags.csv."""

    outcome: Outcome
    reasons: list[str] = []
    flags: list[str] = []
    evidence: list[Evidence] = []
    facts: dict[str, Any] = {}


class Decision(msgspec.Struct, kw_only=True):
    """One line per patient and rule. `as_of` and `stable_until` are RFC 3339 instants;
    `stable_until` is the first instant at which time alone could change the line, null if none."""

    patient: str
    rule: str
    rule_version: str
    code_set_version: str
    outcome: Outcome
    reasons: list[str]
    flags: list[str]
    evidence: list[Evidence]
    as_of: dt.datetime
    stable_until: dt.datetime | None
    facts: dict[str, Any]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as data around one pure function. `inputs` are the FHIR types whose absence would
    make a negative answer unsafe; `gates` the gates that stop it, in their order."""

    id: str
    version: str
    title: str
    inputs: frozenset[str]
    gates: tuple[str, ...]
    evaluate: Callable[[PatientView, Clock], Finding]


def unique(words: Iterable[str]) -> list[str]:
    """Each word once, in order of first sight."""
    return list(dict.fromkeys(filter(None, words)))
