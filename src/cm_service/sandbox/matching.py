"""Does a resource match one search value? Tokens, references, dates and strings as FHIR R4 defines them.

A time without an offset, and a date without a time, are read in UTC: the sandbox has no zone.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any

from cm_service.rules.dates import Precision, parse_when
from cm_service.sandbox.parameters import Kind, SearchParameter
from cm_service.sandbox.wire import Resource

Interval = tuple[float, float]
Test = Callable[[Resource], bool]

_DAY = 86_400_000_000
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
_LOCAL = re.compile(r"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,255})(?:/_history/[A-Za-z0-9\-.]+)?", re.ASCII)
_FRACTION = re.compile(r"\.(\d{1,6})", re.ASCII)
_PREFIXED = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb)?(\d.*)", re.ASCII)
_COMMA = re.compile(r"(?<!\\),")
_BAR = re.compile(r"(?<!\\)\|")
_SPECIAL = re.compile(r"[\\|]")
_ESCAPED = re.compile(r"\\([\\,|$])")

_COMPARE: dict[str, Callable[[Interval, Interval], bool]] = {
    "eq": lambda have, asked: asked[0] <= have[0] and have[1] <= asked[1],
    "ne": lambda have, asked: not (asked[0] <= have[0] and have[1] <= asked[1]),
    "gt": lambda have, asked: have[1] > asked[1],
    "lt": lambda have, asked: have[0] < asked[0],
    "ge": lambda have, asked: have[1] >= asked[0],
    "le": lambda have, asked: have[0] <= asked[1],
    "sa": lambda have, asked: have[0] > asked[1],
    "eb": lambda have, asked: have[1] < asked[0],
}


def compile_test(parameter: SearchParameter, raw: str, *, base: str) -> Test:
    """A test for `name=raw`, where commas mean *or*. Raises ValueError for a value that means nothing."""
    build = {
        Kind.TOKEN: _token_test,
        Kind.URI: _token_test,
        Kind.DATE: _date_test,
        Kind.STRING: _string_test,
    }.get(parameter.kind)
    choices = [part for part in _COMMA.split(raw) if part]
    if not choices:
        raise ValueError("no value")
    if build is _token_test and not _SPECIAL.search(raw):
        return _plain_codes_test(parameter, frozenset(choices))
    if build is None:
        tests = [_reference_test(parameter, part, base) for part in choices]
    else:
        tests = [build(parameter, part) for part in choices]
    return lambda resource: any(test(resource) for test in tests)


def elements(node: Any, path: str) -> Iterator[Any]:
    """Every value at a dotted path, through lists."""
    if isinstance(node, list):
        for item in node:
            yield from elements(item, path)
    elif not path:
        yield node
    elif isinstance(node, dict):
        head, _, rest = path.partition(".")
        if head in node:
            yield from elements(node[head], rest)


def tokens(parameter: SearchParameter, resource: Resource) -> Iterator[tuple[str | None, str]]:
    """(system, code) of every coding, identifier or code; system is None where the element implies it."""
    for path in parameter.paths:
        for value in elements(resource, path):
            if isinstance(value, dict):
                codings = elements(value, "coding") if "coding" in value else (value,)
                for coding in codings:
                    yield coding.get("system", ""), str(coding.get("code", coding.get("value", "")))
            else:
                yield None, str(value).lower() if isinstance(value, bool) else str(value)


def references(parameter: SearchParameter, resource: Resource) -> Iterator[str]:
    """`Type/id` of every reference, without version; logical references and foreign ones have none."""
    for path in parameter.paths:
        for value in elements(resource, path):
            key = local_key(value.get("reference")) if isinstance(value, dict) else None
            if key and (not parameter.target or key.startswith(parameter.target + "/")):
                yield key


def local_key(reference: object, *, base: str = "") -> str | None:
    """`Type/id` of a relative reference, or of an absolute one under `base`; else None."""
    if not isinstance(reference, str):
        return None
    if base and reference.startswith(base + "/"):
        reference = reference[len(base) + 1 :]
    found = _LOCAL.fullmatch(reference)
    return found.group(1) if found else None


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _plain_codes_test(parameter: SearchParameter, codes: frozenset[str]) -> Test:
    """What `_token_test` says of each, at once: clients ask for codes by the hundred."""
    return lambda resource: any(code in codes for _, code in tokens(parameter, resource))


def _token_test(parameter: SearchParameter, raw: str) -> Test:
    parts = [_unescape(part) for part in _BAR.split(raw)]
    if len(parts) > 2:
        raise ValueError("more than one bar in a token")
    system, code = (None, parts[0]) if len(parts) == 1 else parts

    def matches(have_system: str | None, have_code: str) -> bool:
        if system is not None and have_system is not None and have_system != system:
            return False
        return have_code == code or (not code and bool(system))

    return lambda resource: any(matches(*token) for token in tokens(parameter, resource))


def _reference_test(parameter: SearchParameter, raw: str, base: str) -> Test:
    text = _unescape(raw)
    key = local_key(text, base=base)
    if key is None and "/" in text:
        raise ValueError("not a reference to this server")
    if key is None and parameter.target:
        key = f"{parameter.target}/{text}"
    if key is None:
        return lambda resource: any(k.endswith("/" + text) for k in references(parameter, resource))
    return lambda resource: key in references(parameter, resource)


def _string_test(parameter: SearchParameter, raw: str) -> Test:
    asked = _unescape(raw).casefold()

    def matches(resource: Resource) -> bool:
        values = (value for path in parameter.paths for value in elements(resource, path))
        return any(str(value).casefold().startswith(asked) for value in values)

    return matches


def _date_test(parameter: SearchParameter, raw: str) -> Test:
    found = _PREFIXED.fullmatch(raw)
    if found is None:
        raise ValueError("not a date with a prefix")
    compare = _COMPARE[found.group(1) or "eq"]
    asked = _interval(found.group(2))
    if parameter.prefixes and found.group(1) and found.group(1) not in parameter.prefixes:
        raise ValueError("this server does not know that prefix here")
    if parameter.days and "T" in raw:
        raise ValueError("this server compares whole days")

    def matches(resource: Resource) -> bool:
        values = (value for path in parameter.paths for value in elements(resource, path))
        return any(compare(have, asked) for value in values for have in _intervals(value))

    return matches


def _intervals(value: object) -> Iterator[Interval]:
    """The time that an element covers; what cannot be read is found by no date search."""
    try:
        if isinstance(value, dict):
            low, high = value.get("start"), value.get("end")
            if low or high:
                yield (
                    _interval(low)[0] if low else float("-inf"),
                    _interval(high)[1] if high else float("inf"),
                )
        else:
            yield _interval(value)
    except ValueError:
        return


def _interval(raw: object) -> Interval:
    """First and last microsecond since 1970 (UTC) of a date as precise as it was written."""
    when = parse_when(raw)
    if when.precision < Precision.LOCAL_TIME:
        return (when.low - _EPOCH_DAY) * _DAY, (when.high + 1 - _EPOCH_DAY) * _DAY - 1
    fraction = _FRACTION.search(when.raw)
    return when.low, when.low + 10 ** (6 - len(fraction.group(1)) if fraction else 6) - 1
