"""Interactions that change nothing: metadata, search, read, vread."""

from __future__ import annotations

from dataclasses import replace

from cm_service.sandbox.answers import Answer, Refusal
from cm_service.sandbox.calls import Call, Emr, known_version
from cm_service.sandbox.capability import capability_statement
from cm_service.sandbox.paging import Page
from cm_service.sandbox.search import check_needs, dropping, parse, run
from cm_service.sandbox.told import version_answer
from cm_service.sandbox.versions import Version
from cm_service.sandbox.wire import encode


def metadata(emr: Emr, call: Call) -> Answer:
    statement = capability_statement(emr.personality, store=emr.store, base=call.base)
    return Answer(200, encode(statement))


def page(emr: Emr, call: Call) -> Answer:
    """A page of a snapshot."""
    tokens = [value for name, value in call.query if name == emr.personality.paging.parameter]
    if len(tokens) != 1:
        raise Refusal(400, "not-supported", "this server does not search across types")
    return page_answer(emr.pages.later(tokens[0], body=emr.body))


def search(emr: Emr, call: Call) -> Answer:
    paging = emr.personality.paging
    places = [value for name, value in call.query if name == paging.parameter]
    if places and paging.of_type and paging.snapshot:
        return page(emr, call)
    if places and not paging.snapshot:
        others = [pair for pair in call.query if pair[0] != paging.parameter]
        return _search(emr, replace(call, query=others), place=places[0])
    return _search(emr, call)


def _search(emr: Emr, call: Call, place: str = "") -> Answer:
    declared, kind = dropping(
        emr.declared(call.type), emr.personality, emr.store.index.dropped.get(call.type)
    )
    strict = call.preference("handling") == "strict"
    query = parse(call.query, declared=declared, limits=kind, strict=strict, base=call.base)
    check_needs(query, declared)
    if kind.paging.reuse_seconds and "no-cache" not in call.headers.get("cache-control", ""):
        found = emr.pages.reused(call.type, query, lambda: run(emr.store, call.type, query))
    else:
        found = run(emr.store, call.type, query)
    if kind.paging.by_change:
        found = sorted(found, key=lambda version: version.updated)
    start = emr.pages.start_of(place, query.count) if place else 0
    return page_answer(emr.pages.first(call.type, query, found, base=call.base, body=emr.body, start=start))


def page_answer(page: Page) -> Answer:
    return Answer(200, encode(page.bundle), shows=page.shows)


def read(emr: Emr, call: Call) -> Answer:
    return version_answer(emr, call, _alive(emr, known_version(emr, call)))


def vread(emr: Emr, call: Call) -> Answer:
    for version in emr.store.history(call.type, call.id):
        if emr.personality.version_name(version) == call.version:
            return version_answer(emr, call, _alive(emr, version))
    raise Refusal(404, "not-found", "no such version")


def _alive(emr: Emr, version: Version) -> Version:
    if version.resource is None:
        raise Refusal(emr.personality.gone_status, "deleted", "the resource was deleted")
    return version
