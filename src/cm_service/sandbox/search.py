"""Search parameters, read as this EMR reads them, and what they find.

The self link holds exactly the parameters that were used, so that a client can see a filter that
was ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from cm_service.sandbox.answers import Refusal
from cm_service.sandbox.declared import Declared, Personality, Unknown
from cm_service.sandbox.index import Dropped
from cm_service.sandbox.matching import Test, compile_test
from cm_service.sandbox.store import Store
from cm_service.sandbox.versions import Version

Pairs = Sequence[tuple[str, str]]


@dataclass
class Query:
    """One search as the server understood it. `used` are the parameters of the self link.
    `elements`: no others are shown, if there are any.

    `held` and `lag_seconds` say what of it the search index does not show yet.
    """

    count: int
    tests: list[Test] = field(default_factory=list)
    used: list[tuple[str, str]] = field(default_factory=list)
    only_count: bool = False
    elements: frozenset[str] = frozenset()
    held: bool = False
    lag_seconds: float = 0.0

    def wanted(self, name: str) -> list[str]:
        return [raw for used, raw in self.used if used == name]


def parse(pairs: Pairs, *, declared: Declared, limits: Personality, strict: bool, base: str) -> Query:
    """Raises Refusal 400 for a bad value always, for an unknown parameter as this EMR does."""
    query = Query(limits.default_count, held=declared.held, lag_seconds=limits.search_lag_seconds)
    for name, raw in pairs:
        if name in (limits.paging.count, "_summary"):
            _shape(query, name, raw, limits)
        elif name == "_elements" and limits.manners.subsets:
            query.elements |= frozenset(raw.split(","))
            query.used.append((name, raw))
        elif name in declared.idle:
            query.used.append((name, raw))
        elif name in declared.parameters:
            try:
                query.tests.append(compile_test(declared.parameters[name], raw, base=base))
            except ValueError as error:
                raise Refusal(400, "value", f"the value of {name} cannot be read") from error
            query.used.append((name, raw))
        elif ":" in name and name.partition(":")[0] in declared.parameters:
            raise Refusal(400, "not-supported", f"modifiers of {name.partition(':')[0]} are not supported")
        else:
            _unknown(query, name, raw, how=limits.unknown, strict=strict)
    return query


def dropping(declared: Declared, limits: Personality, how: Dropped | None) -> tuple[Declared, Personality]:
    """The same type and EMR while `_lastUpdated` is not used."""
    if how is None:
        return declared, limits
    if how is Dropped.SHOWN:
        return replace(declared, idle=declared.idle | {"_lastUpdated"}), limits
    known = {name: each for name, each in declared.parameters.items() if name != "_lastUpdated"}
    unknown = Unknown.MATCHES_NOTHING if how is Dropped.EMPTY else Unknown.IGNORED
    return replace(declared, parameters=known), replace(limits, unknown=unknown)


def _unknown(query: Query, name: str, raw: str, *, how: Unknown, strict: bool) -> None:
    if how is Unknown.REFUSED or (how is Unknown.PREFER and strict):
        raise Refusal(400, "not-supported", "unknown search parameter: see /metadata")
    if how is Unknown.MATCHES_NOTHING:
        query.tests.append(lambda _: False)
        query.used.append((name, raw))


def _shape(query: Query, name: str, raw: str, limits: Personality) -> None:
    if name == "_summary":
        if raw not in ("count", "false"):
            raise Refusal(400, "not-supported", "only _summary=count and _summary=false are supported")
        query.only_count = query.only_count or raw == "count"
        query.used.append((name, raw))
        return
    if not raw.isdecimal():
        raise Refusal(400, "value", f"the value of {name} cannot be read")
    query.count = min(int(raw), limits.max_count)
    query.only_count = query.only_count or query.count == 0
    query.used.append((name, str(query.count)))


def check_needs(query: Query, declared: Declared) -> None:
    """Raises Refusal 400 for a search that this EMR finds too wide, or a pair that it does not take."""
    values = {name: query.wanted(name) for name, _ in query.used}
    if declared.needs and not any(all(name in values for name in some) for some in declared.needs):
        ways = " or ".join("+".join(sorted(some)) for some in declared.needs)
        raise Refusal(400, "required", f"a search of this type needs {ways}")
    for rule in declared.search_rules:
        rule(values)


def condition_pairs(condition: str, *, type_: str) -> Pairs:
    """The parameters of an If-None-Exist, which some clients begin with `Type?`."""
    return parse_qsl(condition.removeprefix(type_).removeprefix("?"), keep_blank_values=True)


def run(store: Store, type_: str, query: Query) -> list[Version]:
    """What matches all parameters, at one moment."""
    with store.atomic():
        found = (
            store.seen(version, held=query.held, lag_seconds=query.lag_seconds)
            for version in _candidates(store, type_, query)
        )
        return [v for v in found if v is not None and all(test(v.resource or {}) for test in query.tests)]


def _candidates(store: Store, type_: str, query: Query) -> Iterable[Version]:
    """A small superset of the answer where an index knows one; the tests decide anyway."""
    for raw in query.wanted("patient"):
        if "," not in raw and "\\" not in raw:
            return store.of_patient(type_, f"Patient/{raw.rpartition('/')[2]}")
    for raw in query.wanted("identifier"):
        value = raw.rpartition("|")[2]
        if value and "," not in raw and "\\" not in raw:
            return store.with_identifier(type_, value)
    for raw in query.wanted("_id"):
        if "\\" not in raw and "|" not in raw:
            found = (store.current(type_, id_) for id_ in dict.fromkeys(raw.split(",")))
            return [v for v in found if v is not None and v.resource is not None]
    return store.live(type_)
