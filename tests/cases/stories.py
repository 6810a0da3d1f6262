"""Stories of encounters: what happened to one patient, and what each rule must say about it.

Stories with the same options (`as_of`, `timezone`, settings) are evaluated as one population.
Times are written short: "11-20 14:00" is that local time in Detroit in 2026; anything else is raw.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.cases.fhir_json import SNOMED, THO, codings, concept, encounter, patient
from tests.cases.harness import AS_OF, CANNOT_TELL, DETROIT, NO, YES, Json
from tests.cases.tables import Case, case, check, decide_together

SHORT = re.compile(r"(?:\d{4}-)?\d\d-\d\d \d\d:\d\d")
HL7 = f"{THO}discharge-disposition"
NUBC = "https://www.nubc.org/CodeSystem/PatDischargeStatus"
ACT = f"{THO}v3-ActCode"
SNF_TYPE = (concept(SNOMED, "449411000124106"),)


class Says(NamedTuple):
    """What one rule must say. `has`: flags that must be among its flags; `flags`: all of them."""

    outcome: str
    reasons: str
    has: str
    flags: str | None
    without: str
    facts: dict[str, Any]


class Told(NamedTuple):
    """One rule's part of a story. `options`: as_of, timezone and settings of the run."""

    expected: Case
    has: frozenset[str]
    options: tuple[str, str, tuple[tuple[str, str], ...]]


Table = dict[str, Told]


def _says(outcome: str) -> Any:
    def says(
        reasons: str = "", *, has: str = "", flags: str | None = None, without: str = "", **facts: Any
    ) -> Says:
        return Says(outcome, reasons, has, flags, without, facts)

    return says


yes, no, cannot_tell = _says(YES), _says(NO), _says(CANNOT_TELL)


def story(
    sentence: str,
    *resources: Json,
    as_of: str = AS_OF,
    timezone: str = DETROIT,
    settings: Mapping[str, str] | None = None,
    person: Json | None = None,
    **rules: Says,
) -> Table:
    """One entry per rule; a rule is named as a keyword, `dis_tcm` for DIS-TCM."""
    world = (person or patient(), *resources)
    options = (when(as_of), timezone, tuple(sorted((settings or {}).items())))
    table: Table = {}
    for name, said in rules.items():
        rule = name.upper().replace("_", "-")
        expected = case(
            rule,
            said.outcome,
            *world,
            reasons=said.reasons,
            flags=said.flags,
            without=said.without,
            **said.facts,
        )
        table[f"{rule}: {sentence}"] = Told(expected, frozenset(said.has.split()), options)
    return table


def tell(*stories: Table) -> Table:
    """One table of all; two stories may not share a sentence."""
    table: Table = {}
    for part in stories:
        assert not table.keys() & part.keys(), part.keys()
        table |= part
    return table


def decide_all(table: Table) -> dict[str, Json]:
    """Sentence -> the decision of the rule that it is about; one run for each set of options."""
    runs: dict[Any, dict[str, Case]] = defaultdict(dict)
    for sentence, told in table.items():
        runs[told.options][sentence] = told.expected
    decided: dict[str, Json] = {}
    for (as_of, timezone, settings), part in runs.items():
        answers = decide_together(part, as_of=as_of, timezone=timezone, settings=dict(settings))
        decided |= {sentence: answers[sentence][one.rule] for sentence, one in part.items()}
    return decided


def verify(decision: Json, told: Told) -> None:
    check(decision, told.expected)
    assert told.has <= set(decision["flags"]), decision


def when(text: str) -> str:
    """A short time with Detroit's offset of its own date; everything else as it is."""
    if not SHORT.fullmatch(text):
        return text
    full = text if text.count("-") == 2 else f"2026-{text}"
    return datetime.fromisoformat(full).replace(tzinfo=ZoneInfo(DETROIT)).isoformat()


def stay(
    id: str, start: str | None, end: str | None = None, *, code: str = "IMP", out: Any = "home", **more: Any
) -> Json:
    """Finished; `out` is an HL7 disposition code, a CodeableConcept, or None."""
    overrides = dict(more)
    if isinstance(out, dict):
        overrides["hospitalization"] = {"dischargeDisposition": out}
        out = None
    times = [None if text is None else when(text) for text in (start, end)]
    return encounter(id, code, times[0] or "", times[1], disposition=out, **overrides)


def inside(id: str, start: str, end: str | None = None, *, code: str = "IMP", **more: Any) -> Json:
    """Still there; an `end` is what somebody expected."""
    return stay(id, start, end, code=code, **({"out": None, "status": "in-progress"} | more))


def er(id: str, start: str, end: str | None = None, **more: Any) -> Json:
    return stay(id, start, end, **({"code": "EMER"} | more))


def snf(id: str, start: str, end: str | None = None, **more: Any) -> Json:
    return stay(id, start, end, **({"code": "NONAC", "type": list(SNF_TYPE)} | more))


def in_snf(id: str, start: str, end: str | None = None, **more: Any) -> Json:
    return inside(id, start, end, **({"code": "NONAC", "type": list(SNF_TYPE)} | more))


def visit(id: str, start: str, end: str | None = None, **more: Any) -> Json:
    return stay(id, start, end or start, **({"code": "AMB", "out": None} | more))


def typed(*codes: str) -> list[Json]:
    return [concept(SNOMED, code) for code in codes]


def part_of(id: str) -> Json:
    return {"reference": f"Encounter/{id}"}


def nubc(code: str, system: str = NUBC) -> Json:
    return codings((system, code))
